package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// DropProperties takes the 5.0 properties off every message that is not
// completed, for a session that goes on with an older version.
func (s *Sender) DropProperties() {
	for _, l := range []*outgoingList{&s.queue, &s.published, &s.released} {
		for o := l.head; o != nil; o = o.next {
			o.Publish.Properties = nil
		}
	}
}

// DropExpired completes with [ErrExpired] every message that got too old while it
// waited for its first transmission, so that its room can be used.
func (s *Sender) DropExpired(now time.Time) {
	for o := s.queue.head; o != nil; {
		next := o.next
		if !o.sent && !o.Expires.IsZero() && !now.Before(o.Expires) {
			s.dequeue(o)
			s.complete(o, Result{Err: ErrExpired})
		}
		o = next
	}
}

// DropOldest completes with err the message that has waited longest for its first
// transmission, of those above QoS 0 or of those at QoS 0. It reports whether
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
