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

// DropOldest completes with err the message that has waited longest for its first
// transmission, among those above QoS 0 or among those at QoS 0. It reports whether
// there was one.
func (s *Sender) DropOldest(acknowledged bool, err error) bool {
	for o := s.queue.head; o != nil; o = o.next {
		if o.sent || (o.Publish.QoS > wire.AtMostOnce) != acknowledged {
			continue
		}
		s.dequeue(o)
		s.complete(o, Result{Err: err})
		return true
	}
	return false
}

// Droppable returns how many messages DropOldest can drop one after the other, and
// their size in bytes.
func (s *Sender) Droppable(acknowledged bool) (messages, bytes int) {
	l := s.unsent[0]
	if acknowledged {
		l = s.unsent[1]
	}
	return l.messages, l.bytes
}

// load is a number of messages and their size in bytes.
type load struct{ messages, bytes int }

func (l *load) add(o *Outgoing, sign int) {
	l.messages += sign
	l.bytes += sign * o.size()
}

func (s *Sender) loadOf(o *Outgoing) *load { return &s.unsent[min(o.Publish.QoS, wire.AtLeastOnce)] }
