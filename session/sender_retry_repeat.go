package session

import "github.com/seed65a45251/mqtt/wire"

// precede gives their places back to messages of the queue that come before messages of the
// same topic that are about to be repeated: those that the server had refused for now when
// later ones were under way. A repeat would pass them otherwise. So they are sent first,
// whatever time they were to wait. Nobody knows any more which they are after a crash, but
// no others are before messages with identifiers.
func (s *Sender) precede() {
	if s.queue.head == nil {
		return
	}
	last := s.lastPublished()
	if s.queue.head.seq > last {
		return
	}
	later := make(map[string]uint64)
	for p := s.published.head; p != nil; p = p.next {
		later[p.Publish.Topic] = max(later[p.Publish.Topic], p.seq)
	}
	for o := s.queue.head; o != nil && o.seq < last; {
		next := o.next
		if o.seq < later[o.Publish.Topic] && o.Publish.QoS != wire.AtMostOnce && !s.awaitsRecords(o) {
			s.takePlace(o)
		}
		o = next
	}
}

// lastPublished returns the largest number in published, which is not in order after a
// message was refused.
func (s *Sender) lastPublished() (last uint64) {
	for p := s.published.head; p != nil; p = p.next {
		last = max(last, p.seq)
	}
	return last
}

// takePlace gives o an identifier and puts it before the later messages of its topic.
func (s *Sender) takePlace(o *Outgoing) {
	if err := s.ready(o); err != nil {
		s.dequeue(o)
		s.complete(o, Result{Err: err})
		return
	}
	if o.Publish.PacketID == 0 {
		id := s.ids.takeForMessage()
		if id == 0 {
			return
		}
		s.ids.messages[id] = o
		o.Publish.PacketID = id
	}
	if o.Publish.QoS == wire.ExactlyOnce && s.inherited.holds(o.Publish.PacketID) {
		return // it has to be released first
	}
	s.dequeue(o)
	o.state, o.sent = outgoingPublished, true
	at := s.published.head
	for at.Publish.Topic != o.Publish.Topic || at.seq < o.seq {
		at = at.next
	}
	s.published.insertBefore(o, at)
	if !o.recorded {
		s.noteExchange(o)
	}
}

// isNoRepeat reports whether o has taken a place, is not sent yet, and now has to wait
// behind a message that the server has refused meanwhile.
func (s *Sender) isNoRepeat(o *Outgoing) bool {
	t := s.retries.topic(o)
	return t != nil && !o.Publish.Duplicate && t.refused[0].message.seq < o.seq && t.refused[0].message.Queued()
}

// giveBack undoes takePlace.
func (s *Sender) giveBack(o *Outgoing) {
	s.endExchange(o, &s.published)
	o.state = outgoingQueued
	s.noteExchange(o)
	s.queue.insert(o)
	s.queuedBytes += o.size()
	s.awaitDue(o)
	s.retries.next = s.queue.head
}
