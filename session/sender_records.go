package session

import (
	"github.com/seed65a45251/mqtt/wire"
)

// A session can outlive its process if its owner keeps records of it. A durable
// message waits twice for its record. PUBLISH waits until the packet identifier is
// recorded: otherwise the message would be sent under another one after a crash.
// PUBREL waits until the PUBREC is recorded: otherwise a message that the peer has
// released would be sent again. [MQTT-4.3.3-6], [MQTT-4.4.0-1]
//
//	for _, o := range sender.Unrecorded(nil) {
//		// record o.Publish.PacketID and o.Released()
//	}
//	// and when that is done:
//	sender.Recorded(o)
//	sender.Pump(now)
//
// A completed message needs no record any more, but nothing waits for the removal. If
// the removal is lost, the message is repeated under its identifier. The record of a
// message has to be removed before the record of the next message with the same
// identifier is made.

// unrecorded holds the messages that wait for their records.
type unrecorded struct {
	messages []*Outgoing
	reserved int // messages that are not submitted yet and have identifiers
	awaited  int // and those that have none
}

// recordAhead is how many messages of the queue get their identifiers together, so
// that one write to the disk serves them all.
const recordAhead = 256

// Reserve takes a packet identifier for a durable message that will be submitted
// soon, so that the identifier can be recorded together with the message. It returns
// false if the message would have to wait after Submit, or comes behind one that has
// to: after a crash messages with identifiers go first. Such a message gets its
// identifier later. In either case the message has to be submitted or given up, in
// the order of the calls of Reserve.
func (s *Sender) Reserve(o *Outgoing) bool {
	w := s.recordQueue()
	free := s.link.open && s.queue.len == 0 && s.retries == nil && !s.repeating() && w.awaited == 0 && s.quota.used+w.reserved < s.quota.limit
	id := uint16(0)
	if free {
		id = s.ids.takeForMessage()
	}
	if id == 0 {
		o.state = outgoingAwaited
		w.awaited++
		return false
	}
	s.ids.messages[id] = o
	o.Publish.PacketID = id
	o.state, o.recorded = outgoingReserved, true
	w.reserved++
	return true
}

// GiveUp undoes Reserve for a message that is not submitted after all.
func (s *Sender) GiveUp(o *Outgoing) {
	if s.endReservation(o) == outgoingReserved {
		s.ids.freeMessage(o)
	}
	o.state, o.recorded = outgoingIdle, false
}

// endReservation ends the reservation of a message that is not submitted yet. It returns
// the former state of the message.
func (s *Sender) endReservation(o *Outgoing) outgoingState {
	switch o.state {
	case outgoingReserved:
		s.records.reserved--
	case outgoingAwaited:
		s.records.awaited--
	}
	return o.state
}

// Unrecorded appends to dst the messages whose records are out of date, each once.
// They wait for Recorded.
func (s *Sender) Unrecorded(dst []*Outgoing) []*Outgoing {
	if s.records == nil || len(s.records.messages) == 0 {
		return dst
	}
	dst = append(dst, s.records.messages...)
	clear(s.records.messages)
	s.records.messages = s.records.messages[:0]
	return dst
}

// Recorded says that the record of o is up to date. A PUBREL goes out at once, a
// PUBLISH with the next Pump. For a message that was completed meanwhile it does
// nothing.
func (s *Sender) Recorded(o *Outgoing) {
	if o.recorded || o.Publish.PacketID == 0 {
		return
	}
	o.recorded = true
	if o.state == outgoingReleased && s.link.open {
		s.releaseMessage(o)
	}
}

// Restore adds a durable message of an earlier process. If its Publish has a packet
// identifier, or is marked as a duplicate, it may have been sent. released says that its
// PUBREC had come. Call Restore before any connection, for the messages in the order in
// which they were submitted, and for released ones in the order of their PUBRECs. It
// returns false if the identifier is in use.
func (s *Sender) Restore(o *Outgoing, released bool) bool {
	id := o.Publish.PacketID
	if id != 0 && !s.ids.claim(id, o) {
		return false
	}
	s.seq++
	o.seq, o.Durable, o.cost = s.seq, true, o.Publish.Cost()
	switch {
	case id == 0:
		o.state = outgoingQueued
		o.sent, o.Publish.Duplicate = o.Publish.Duplicate, false
		s.queue.push(o)
		s.queuedBytes += o.size()
		if !o.sent {
			s.enter(o)
		}
		s.awaitDue(o)
		return true
	case released:
		o.state = outgoingReleased
		s.released.push(o)
	default:
		o.state = outgoingPublished
		s.published.push(o)
	}
	o.sent, o.recorded = true, true
	return true
}

// Released reports whether PUBREC has come. PUBLISH is then no longer repeated.
func (o *Outgoing) Released() bool { return o.state == outgoingReleased }

// Doubtful reports whether the PUBREC may have come from a session that is gone.
func (o *Outgoing) Doubtful() bool { return o.doubtful }

func (s *Sender) recordQueue() *unrecorded {
	if s.records == nil {
		s.records = new(unrecorded)
	}
	return s.records
}

// requestRecords gives identifiers to the next durable messages to be sent, beginning
// with o, and asks for their records.
func (s *Sender) requestRecords(o *Outgoing) {
	if o.Publish.PacketID != 0 {
		return // the record has been asked for
	}
	w := s.recordQueue()
	for n := 0; o != nil && n < recordAhead; o, n = o.next, n+1 {
		if !o.Durable || o.Publish.QoS == wire.AtMostOnce || o.Publish.PacketID != 0 {
			continue
		}
		id := s.ids.takeForMessage()
		if id == 0 {
			return
		}
		s.ids.messages[id] = o
		o.Publish.PacketID = id
		w.messages = append(w.messages, o)
	}
}

// claim takes the identifier id for o. It returns false if id is in use.
func (t *idTable) claim(id uint16, o *Outgoing) bool {
	if t.requests[id] != nil {
		return false
	}
	for int(id) >= len(t.messages) || 2*t.used >= len(t.messages) && len(t.messages) < maxIDTable {
		size := max(firstIDTable, 2*len(t.messages))
		t.messages = append(make([]*Outgoing, 0, size), t.messages...)[:size]
	}
	if t.messages[id] != nil {
		return false
	}
	t.messages[id] = o
	t.used++
	t.last = max(t.last, id)
	return true
}
