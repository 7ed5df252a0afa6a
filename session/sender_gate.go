package session

import "math"

// GateOpen is what a gate returns that holds back nothing.
const GateOpen = math.MaxUint64

// SetGate makes the sender ask gate before it sends application messages. gate returns
// the number, see [Outgoing.Seq], of the last one that may be sent now, also as a
// repeat; those with higher numbers wait, and all that follow with them. The caller
// that opens the gate calls [Sender.Pump]. PUBREL is sent in any case, as it has no content. gate
// is called by most methods of the sender, and must not call any.
func (s *Sender) SetGate(gate func() uint64) { s.gate = gate }

// lastPassable returns the number of the last message that may be sent.
func (s *Sender) lastPassable() uint64 {
	if s.gate == nil {
		return GateOpen
	}
	return s.gate()
}

// Withheld appends to dst, in the order in which they are sent, up to limit messages
// that wait to be sent or to be sent again and have numbers above seq.
func (s *Sender) Withheld(dst []*Outgoing, seq uint64, limit int) []*Outgoing {
	// The latest are at the end of the queue, and what the gate has let through may be
	// long: it waits for the peer.
	first := s.queue.tail
	for first != nil && first.prev != nil && first.prev.seq > seq {
		first = first.prev
	}
	for _, o := range []*Outgoing{s.resend, first} {
		for ; o != nil && limit > 0; o = o.next {
			if o.seq > seq {
				dst = append(dst, o)
				limit--
			}
		}
	}
	return dst
}
