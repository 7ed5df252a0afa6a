package session

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// In a doubtful session a PUBLISH can be repeated: a server that has the message
// knows its identifier, and to one that has lost it the message is new. A PUBREL cannot:
// a server that has lost the message may answer it like one that has finished
// it. Before 5.0 all do, so the PUBLISH goes out again, which may deliver a message
// twice rather than never. In 5.0 a server should say Packet Identifier Not Found
// [MQTT-4.13.1-1], but not all do (Mosquitto 2.0). So behind the PUBRELs goes one for
// an identifier that no session can know: the answer to it tells what the answers to
// the others are worth.
//
// A server that tells the truth and has finished one of the messages is proven to have
// the session of before: then it has finished those that it does not find on an earlier
// connection. Where none proves it, nobody can know.
type doubt struct {
	tells   tells
	probe   uint16      // identifier of the PUBREL that asks; 0: none is under way
	held    []*Outgoing // that PUBCOMP said to be complete, before the answer to the probe
	missing []*Outgoing // that PUBCOMP said not to be found, while others may prove the session
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
	if s.failLost {
		s.failDoubtful()
	}
}

// failDoubtful ends QoS 2 messages whose PUBREC has not come: a server that has
// forgotten them would take their repeat for new messages, and nothing would show it.
func (s *Sender) failDoubtful() {
	for o := s.published.head; o != nil; {
		next := o.next
		if o.Publish.QoS == wire.ExactlyOnce {
			s.giveUp(o, ErrSessionLost)
		}
		o = next
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
			s.giveUp(o, ErrSessionLost)
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

// probe asks, behind all PUBRELs, whether the server tells, if it matters.
func (s *Sender) probe() {
	if s.doubt.tells != tellsUnknown || !s.anyDoubtful() {
		return
	}
	id := s.ids.take()
	if id == 0 {
		s.doubt.tells = tellsNothing // there is none to ask with
		return
	}
	s.ids.messages[id] = probing
	s.doubt.probe = id
	s.link.pubrel(id, wire.Success)
	s.suspicion.sent(false)
}

// probed takes the answer to the probe.
func (s *Sender) probed(code wire.ReasonCode) {
	id := s.doubt.probe
	s.freeProbe()
	s.answered(false)
	s.inherited.free(id)
	s.doubt.tells = tellsNothing
	if code == wire.PacketIdentifierNotFound {
		s.doubt.tells = tellsTruth
	}
	s.decideDoubtful()
	s.Pump(s.now)
}

func (s *Sender) freeProbe() {
	if s.doubt.probe != 0 {
		s.ids.messages[s.doubt.probe] = nil
		s.ids.used--
		s.doubt.probe = 0
	}
}

// endProbe forgets the probe and what its answer would have decided: it is repeated on
// the next connection.
func (s *Sender) endProbe() {
	s.freeProbe()
	s.doubt.held, s.doubt.missing = nil, nil
}

// doubtfulPubcomp takes PUBCOMP for a doubtful message, which r would complete.
func (s *Sender) doubtfulPubcomp(o *Outgoing, p *wire.Pubcomp, r Result) {
	if slices.Contains(s.doubt.held, o) || slices.Contains(s.doubt.missing, o) {
		return // said again
	}
	s.markAnswered(o)
	if p.ReasonCode == wire.PacketIdentifierNotFound {
		s.doubt.tells = tellsTruth
		o.Complete(resultOf(wire.TypePubcomp, p.ReasonCode, p.ReasonString, p.UserProperties))
		s.doubt.missing = append(s.doubt.missing, o)
	} else {
		o.Complete(r)
		s.doubt.held = append(s.doubt.held, o)
	}
	s.decideDoubtful()
	s.Pump(s.now)
}

// decideDoubtful completes what the answers so far say enough about.
func (s *Sender) decideDoubtful() {
	d := &s.doubt
	if d.tells == tellsUnknown {
		return
	}
	proven := d.tells == tellsTruth && len(d.held) > 0
	for _, o := range d.held {
		switch r := o.Result(); {
		case proven || r.Err != nil:
			s.finish(o, &s.released, r)
		case s.failLost:
			s.finish(o, &s.released, Result{Err: ErrSessionLost})
		default:
			o.Complete(Result{})
			s.requeue(func(other *Outgoing) bool { return other == o })
		}
	}
	d.held = nil
	if proven {
		s.proveSession()
	}
	if !s.anyDoubtful() {
		for _, o := range d.missing { // none is left that could prove it
			s.finish(o, &s.released, o.Result())
		}
		d.missing = nil
	}
}

// proveSession notes that the session is that of before.
func (s *Sender) proveSession() {
	for _, o := range s.doubt.missing {
		s.finish(o, &s.released, Result{})
	}
	s.doubt.missing = nil
	for o := s.released.head; o != nil; o = o.next {
		o.doubtful = false
	}
}

// anyDoubtful says whether an answer about a doubtful message is still to come.
func (s *Sender) anyDoubtful() bool {
	missing := 0
	for o := s.released.head; o != nil; o = o.next {
		if o.doubtful {
			missing++
		}
	}
	return missing > len(s.doubt.missing)
}
