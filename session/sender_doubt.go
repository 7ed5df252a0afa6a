package session

import "github.com/seed65a45251/mqtt/wire"

// In a doubtful session a PUBLISH can be repeated: a server that has the message
// knows its identifier, and to one that has lost it the message is new. A PUBREL can
// not: a server that has lost the message may answer it like one that has finished
// it. Before 5.0 all do, so the PUBLISH goes out again, which may deliver a message
// twice rather than never. In 5.0 a server should say Packet Identifier Not Found
// [MQTT-4.13.1-1], but not all do (Mosquitto 2.0). So behind the PUBRELs goes one for
// an identifier that no session can know: the answer to it tells what the answers to
// the others are worth.
type doubt struct {
	tells tells
	probe uint16      // identifier of the PUBREL that asks; 0: none is under way
	held  []*Outgoing // that PUBCOMP said to be complete, before the answer to the probe
}

// tells says whether the server answers PUBREL for an unknown identifier with
// Packet Identifier Not Found.
type tells uint8

const (
	tellsUnknown tells = iota
	tellsTruth
	tellsNothing
)

// probing stands in the table of identifiers for the probe.
var probing = new(Outgoing)

// beginDoubt marks the messages whose PUBREC may have come from a session that is
// gone.
func (s *Sender) beginDoubt() {
	for o := s.released.head; o != nil; o = o.next {
		o.doubtful = true
	}
}

// publishDoubtful makes doubtful messages go out as PUBLISH again where the answer
// to PUBREL would prove nothing.
func (s *Sender) publishDoubtful() {
	if s.link.Version == wire.V5 && s.doubt.tells != tellsNothing {
		return
	}
	var again []*Outgoing
	for o := s.released.head; o != nil; {
		next := o.next
		switch {
		case !o.doubtful:
		case s.failLost:
			s.released.remove(o)
			s.ids.abandon(o)
			s.complete(o, Result{Err: ErrSessionLost})
		default:
			s.released.remove(o)
			o.doubtful = false
			o.state = outgoingPublished
			o.Complete(Result{})
			again = append(again, o)
		}
		o = next
	}
	if len(again) > 0 {
		s.published.merge(again)
	}
}

// merge adds list and puts all in the order in which they were submitted.
func (l *outgoingList) merge(list []*Outgoing) {
	for l.head != nil {
		o := l.head
		l.remove(o)
		list = append(list, o)
	}
	sortBySeq(list)
	for _, o := range list {
		l.push(o)
	}
}

// probe asks whether the server tells, if it matters.
func (s *Sender) probe() {
	if s.doubt.tells != tellsUnknown {
		return
	}
	for o := s.released.head; o != nil; o = o.next {
		if !o.doubtful {
			continue
		}
		id := s.ids.take()
		if id == 0 {
			s.doubt.tells = tellsNothing // nobody to ask
			return
		}
		s.ids.messages[id] = probing
		s.doubt.probe = id
		s.link.pubrel(id, wire.Success)
		s.suspicion.sent(false)
		return
	}
}

// probed takes the answer to the probe.
func (s *Sender) probed(code wire.ReasonCode) {
	id, held := s.doubt.probe, s.doubt.held
	s.endProbe()
	s.landed(false)
	s.inherited.free(id)
	s.doubt.tells = tellsNothing
	if code == wire.PacketIdentifierNotFound {
		s.doubt.tells = tellsTruth
	}
	for _, o := range held {
		s.settleDoubt(o, o.Result())
	}
	s.Pump(s.now)
}

// endProbe forgets the probe. What its answer would have settled is repeated on the
// next connection.
func (s *Sender) endProbe() {
	if s.doubt.probe != 0 {
		s.ids.messages[s.doubt.probe] = nil
		s.ids.used--
	}
	s.doubt.probe, s.doubt.held = 0, nil
}

// doubtfulPubcomp takes PUBCOMP for a doubtful message, which r would complete.
func (s *Sender) doubtfulPubcomp(o *Outgoing, p *wire.Pubcomp, r Result) error {
	if p.ReasonCode == wire.PacketIdentifierNotFound {
		// The server may have finished it on an earlier connection, or never seen it.
		s.doubt.tells = tellsTruth
		s.finish(o, &s.released, resultOf(wire.TypePubcomp, p.ReasonCode, p.ReasonString, p.UserProperties))
		s.Pump(s.now)
		return nil
	}
	if s.doubt.tells == tellsUnknown {
		o.Complete(r)
		s.doubt.held = append(s.doubt.held, o)
		return nil
	}
	s.settleDoubt(o, r)
	s.Pump(s.now)
	return nil
}

// settleDoubt completes a message of which PUBCOMP says that it is complete, if the
// server tells.
func (s *Sender) settleDoubt(o *Outgoing, r Result) {
	switch {
	case s.doubt.tells == tellsTruth || r.Err != nil:
		s.finish(o, &s.released, r)
	case s.failLost:
		s.finish(o, &s.released, Result{Err: ErrSessionLost})
	default:
		o.Complete(Result{})
		s.requeue(func(other *Outgoing) bool { return other == o })
	}
}
