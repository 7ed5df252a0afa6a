package session

import "github.com/seed65a45251/mqtt/wire"

// noteExchange tells the journal how far the exchange of o is.
func (s *Sender) noteExchange(o *Outgoing) {
	if s.journal == nil || !o.Durable && o.Publish.QoS != wire.ExactlyOnce {
		return
	}
	o.recorded = o.Publish.PacketID != 0
	s.journal.Exchange(o)
}

// unreserve takes back the recorded identifiers of queued messages from o on. One that
// has none is before them, and after a crash messages with identifiers go first.
func (s *Sender) unreserve(o *Outgoing) {
	for ; s.journal != nil && o != nil; o = o.next {
		if o.recorded && o.Publish.PacketID != 0 {
			s.ids.freeMessage(o)
			s.noteExchange(o)
		}
	}
}

// noteEnd tells the journal that o is completed or withdrawn.
func (s *Sender) noteEnd(o *Outgoing) {
	if s.journal != nil && (o.Durable || o.recorded) {
		o.recorded = false
		s.journal.End(o)
	}
}

// awaitsRecord reports whether o waits for Recorded. With a journal nothing does.
func (s *Sender) awaitsRecord(o *Outgoing) bool {
	return o.Durable && !o.recorded && s.journal == nil
}

// ReserveNumber gives o its place in the order of messages before it is submitted, and
// with identifier also a packet identifier as [Sender.Reserve] does. Messages have to
// be submitted, or given up, in this order.
func (s *Sender) ReserveNumber(o *Outgoing, identifier bool) {
	s.seq++
	o.seq = s.seq
	if !identifier || !s.Reserve(o) {
		s.GiveUp(o)
		o.state = outgoingNumbered
	}
}

// SubmitLater prepares o, which an earlier call of ReserveNumber has numbered, to be
// submitted after all: its owner had let go of it meanwhile.
func (s *Sender) SubmitLater(o *Outgoing, number uint64) {
	o.seq, o.state = number, outgoingNumbered
	s.seq = max(s.seq, number)
}

// Refuse completes with err a message that was numbered and is not submitted.
func (s *Sender) Refuse(o *Outgoing, err error) {
	s.GiveUp(o)
	o.Complete(Result{Err: err})
	s.completed = append(s.completed, o)
}

// SetLastSeq sets the number after which messages are numbered.
func (s *Sender) SetLastSeq(seq uint64) { s.seq = max(s.seq, seq) }

// Continue restores a message of an earlier process under its number and, unless that is
// 0, its packet identifier. See [Sender.Restore] for the order of calls, and
// [Outgoing.Released] and [Outgoing.Doubtful] for the rest.
func (s *Sender) Continue(o *Outgoing, number uint64, released, doubtful bool) bool {
	last := s.seq
	if !s.Restore(o, released) {
		return false
	}
	o.seq, o.doubtful = number, released && doubtful
	s.seq = max(last, number)
	if o.Queued() && o.sent {
		s.renewed = max(s.renewed, number)
	}
	s.awaitDue(o)
	return true
}

// ContinueIdentifier restores an identifier that a message of an earlier process used which
// was not recorded. It is released, and o completes without being among Completed.
func (s *Sender) ContinueIdentifier(o *Outgoing, id uint16) bool {
	o.Publish.PacketID, o.Publish.QoS = id, wire.ExactlyOnce
	if !s.Continue(o, 0, true, false) {
		return false
	}
	o.Durable, o.unknown = false, true
	return true
}
