package session

import "math"

// GateOpen is the result of a gate that holds back nothing.
const GateOpen = math.MaxUint64

// SetGate makes the sender call gate before it sends application messages. gate returns
// the number, see [Outgoing.Seq], of the last message that may be sent now, first or
// again. Messages with higher numbers wait. After opening the gate the caller calls
// [Sender.Pump]. PUBREL has no content and is always sent. Most methods of the sender
// call gate, so gate must not call the sender.
func (s *Sender) SetGate(gate func() uint64) { s.gate = gate }

// lastPassable returns the number of the last message that may be sent.
func (s *Sender) lastPassable() uint64 {
	if s.gate == nil {
		return GateOpen
	}
	return s.gate()
}

// Withheld appends to dst up to limit messages with numbers above seq that wait to be
// sent or to be sent again, in the order in which they are sent.
func (s *Sender) Withheld(dst []*Outgoing, seq uint64, limit int) []*Outgoing {
	// The search begins at the end of the queue: the part that the gate has let
	// through may be long, because it waits for the peer.
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
