package session

// Fail completes all messages with err and forgets the session. The sender must not
// be used afterwards. Every message gets a result.
func (s *Sender) Fail(err error) { s.FailKept(err, err) }

// FailKept is Fail that completes durable messages with kept, because their records stay.
func (s *Sender) FailKept(err, kept error) {
	s.cutStream(err)
	s.journal = nil // what was recorded is for the next process
	s.Renew()
	for s.queue.head != nil {
		o := s.queue.head
		s.dequeue(o)
		result := err
		if o.Durable {
			result = kept
		}
		s.complete(o, Result{Err: result})
	}
}

// Incomplete appends to dst the messages that were submitted and are not completed,
// in the order of Submit. It is for an owner that decides what to do with them: see
// [Outgoing.Sent] and [Outgoing.Released]. A QoS 0 message whose payload is being
// written is left out.
func (s *Sender) Incomplete(dst []*Outgoing) []*Outgoing {
	first := len(dst)
	for _, l := range []*outgoingList{&s.released, &s.published, &s.queue} {
		for o := l.head; o != nil; o = o.next {
			dst = append(dst, o)
		}
	}
	sortBySeq(dst[first:])
	return dst
}
