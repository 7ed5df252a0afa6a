package session

import "github.com/seed65a45251/mqtt/wire"

// inherited tracks which packet identifiers the peer may hold for QoS 2 messages that
// this sender does not know: those of an earlier process or connection. The
// peer would take a new message under such an identifier for a repeat
// [MQTT-4.3.3-10]. So each identifier is released once with PUBREL. It is used only
// after the answer, because only then the order in which the peer saw the two is
// certain.
type inherited struct {
	any  bool                // the peer may hold identifiers
	gone []uint64            // one bit per identifier: the peer no longer holds it
	open map[uint16]struct{} // PUBREL was sent on this connection, PUBCOMP has not come
}

// inherit notes that the peer may hold any identifier that was not released since.
func (s *Sender) inherit() { s.inherited.any = true }

// holds reports whether the peer may hold id.
func (in *inherited) holds(id uint16) bool {
	if !in.any {
		return false
	}
	i := int(id / 64)
	return i >= len(in.gone) || in.gone[i]&(1<<(id%64)) == 0
}

// releasing reports whether PUBREL was sent to release id.
func (in *inherited) releasing(id uint16) bool {
	_, open := in.open[id]
	return open
}

// free notes that the peer no longer holds id.
func (in *inherited) free(id uint16) {
	delete(in.open, id)
	for i := int(id / 64); i >= len(in.gone); {
		in.gone = append(in.gone, 0)
	}
	in.gone[id/64] |= 1 << (id % 64)
}

// releaseMost is how many identifiers are released together.
const releaseMost = 256

// releaseAhead gives identifiers to o and the messages behind it in the queue, and
// releases those that the peer may hold.
func (s *Sender) releaseAhead(o *Outgoing) {
	most := min(s.quota.limit-s.quota.used, releaseMost)
	for ; o != nil && most > 0; o = o.next {
		if o.Publish.QoS != wire.ExactlyOnce || o.Durable && s.journal == nil {
			continue
		}
		most--
		if o.Publish.PacketID == 0 {
			id := s.ids.takeForMessage()
			if id == 0 {
				return
			}
			s.ids.messages[id] = o
			o.Publish.PacketID = id
		}
		s.releaseID(o.Publish.PacketID)
	}
}

// releaseID sends PUBREL for an identifier that the peer may hold.
func (s *Sender) releaseID(id uint16) {
	if !s.inherited.holds(id) || s.inherited.releasing(id) {
		return
	}
	if s.inherited.open == nil {
		s.inherited.open = make(map[uint16]struct{})
	}
	s.inherited.open[id] = struct{}{}
	s.link.pubrel(id, wire.Success)
	s.suspicion.sent(false)
}

// stopReleasing forgets which identifiers wait for PUBCOMP. It may never come, and
// the next connection releases them again.
func (s *Sender) stopReleasing() {
	s.inherited.open = nil
	if !s.inherited.any {
		return
	}
	for o := s.queue.head; o != nil; o = o.next {
		if o.Publish.PacketID != 0 && !o.recorded && (!o.Durable || s.journal != nil) {
			s.ids.freeMessage(o)
		}
	}
}
