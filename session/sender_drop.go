package session

import "github.com/seed65a45251/mqtt/wire"

// DropProperties removes the 5.0 properties from every message that is not completed.
// It is for a session that continues with an older version.
func (s *Sender) DropProperties() {
	for _, l := range []*outgoingList{&s.queue, &s.published, &s.released} {
		for o := l.head; o != nil; o = o.next {
			o.Publish.Properties = nil
		}
	}
}

// DropOldest makes space in the queue. It completes with err the messages that have waited
// longest for their first transmission, among those above QoS 0 or among those at QoS 0,
// until enough says that it is enough when so many messages of so many bytes are gone. A
// message that turns out to be too small to matter beside those after it stays. If not
// even all of them are enough, none is dropped. DropOldest returns how many were.
func (s *Sender) DropOldest(acknowledged bool, enough func(messages, bytes int) bool, err error) (dropped int) {
	if l := s.unsent[class(acknowledged)]; l.messages == 0 || !enough(l.messages, l.bytes) {
		return 0
	}
	var one [1]*Outgoing // it is most often one
	victims, gone := one[:0], load{}
	for o := s.oldest[class(acknowledged)]; o != nil && !enough(gone.messages, gone.bytes); o = o.next {
		if o.droppable(acknowledged) {
			victims = append(victims, o)
			gone.add(o, 1)
		}
	}
	for i := len(victims) - 2; i >= 0; i-- { // without the last it was not enough
		if o := victims[i]; enough(gone.messages-1, gone.bytes-o.size()) {
			gone.add(o, -1)
			victims[i] = nil
		}
	}
	for _, o := range victims {
		if o != nil {
			s.drop(o, err)
			dropped++
		}
	}
	return dropped
}

// droppable reports whether o, which is in the queue, was never sent and is of that class.
func (o *Outgoing) droppable(acknowledged bool) bool {
	return !o.sent && (o.Publish.QoS > wire.AtMostOnce) == acknowledged
}

func (s *Sender) drop(o *Outgoing, err error) {
	s.dequeue(o)
	s.complete(o, Result{Err: err})
}

// Droppable returns how many messages DropOldest can drop, and their size in bytes: those
// above QoS 0, or those at QoS 0, that were never sent.
func (s *Sender) Droppable(acknowledged bool) (messages, bytes int) {
	l := s.unsent[class(acknowledged)]
	return l.messages, l.bytes
}

// load is a number of messages and their size in bytes.
type load struct{ messages, bytes int }

func (l *load) add(o *Outgoing, sign int) {
	l.messages += sign
	l.bytes += sign * o.size()
}

// class is the index of a class of messages: those above QoS 0, or those at QoS 0.
func class(acknowledged bool) int {
	if acknowledged {
		return 1
	}
	return 0
}

func classOf(o *Outgoing) int { return class(o.Publish.QoS > wire.AtMostOnce) }

// enter and leave keep account of the messages of the queue that were never sent.
func (s *Sender) enter(o *Outgoing) {
	c := classOf(o)
	if first := s.oldest[c]; s.unsent[c].messages == 0 || first == nil || o.seq < first.seq {
		s.oldest[c] = o // the first, or it was refused and is back in its place
	}
	s.unsent[c].add(o, 1)
	if s.latest[c] != nil {
		s.enterLatest(c, o)
	}
}

func (s *Sender) leave(o *Outgoing) {
	c := classOf(o)
	s.unsent[c].add(o, -1)
	if s.latest[c] != nil {
		s.leaveLatest(c, o)
	}
}
