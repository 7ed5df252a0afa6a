package session

// KeepLatest makes space in the queue for a message to topic, above QoS 0 or at QoS 0. It
// completes with err the messages of that class that were never sent and for whose topic
// there is a later one, the new one included. enough says whether the new message fits
// when so many messages of so many bytes are gone. If it would not even then, none is
// dropped, and KeepLatest returns false.
//
// From then on until none of the class waits, the queue has one message of each topic:
// KeepLatest drops the earlier one whether there is space or not. Where it has not begun
// and there is space, it does nothing.
func (s *Sender) KeepLatest(acknowledged bool, topic string, enough func(messages, bytes int) bool, err error) (dropped int, ok bool) {
	latest := s.latest[class(acknowledged)]
	switch {
	case latest == nil && enough(0, 0):
		return 0, true
	case latest == nil:
		return s.beginLatest(acknowledged, topic, enough, err)
	}
	earlier := latest[topic]
	switch {
	case earlier == nil:
		return 0, enough(0, 0)
	case !enough(1, earlier.size()):
		return 0, false
	}
	s.drop(earlier, err)
	return 1, true
}

// beginLatest drops what has a later message behind it. Only it looks at the whole queue.
func (s *Sender) beginLatest(acknowledged bool, topic string, enough func(messages, bytes int) bool, err error) (dropped int, ok bool) {
	latest := make(map[string]*Outgoing)
	var earlier []*Outgoing
	var gone load
	for o := s.queue.tail; o != nil; o = o.prev {
		if !o.droppable(acknowledged) {
			continue
		}
		if o.Publish.Topic == topic || latest[o.Publish.Topic] != nil {
			earlier = append(earlier, o)
			gone.add(o, 1)
			continue
		}
		latest[o.Publish.Topic] = o
	}
	ok = enough(gone.messages, gone.bytes)
	if !ok && len(earlier) > 0 || len(latest) == 0 && len(earlier) == 0 {
		return 0, ok
	}
	s.latest[class(acknowledged)] = latest
	for i := len(earlier) - 1; i >= 0; i-- {
		s.drop(earlier[i], err)
	}
	return len(earlier), ok
}

// enterLatest notes that o is the message of its topic that waits. If there is an earlier
// one, its owner did not call KeepLatest before: it may begin anew.
func (s *Sender) enterLatest(c int, o *Outgoing) {
	if latest := s.latest[c]; latest[o.Publish.Topic] == nil {
		latest[o.Publish.Topic] = o
		return
	}
	s.latest[c] = nil
}

// leaveLatest notes that o is no longer the message of its topic that waits.
func (s *Sender) leaveLatest(c int, o *Outgoing) {
	if latest := s.latest[c]; latest[o.Publish.Topic] == o {
		delete(latest, o.Publish.Topic)
	}
	if s.unsent[c].messages == 0 {
		s.latest[c] = nil
	}
}
