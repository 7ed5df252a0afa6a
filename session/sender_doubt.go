package session

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// In a doubtful session a PUBLISH can be repeated: a server that has the message knows
// its identifier, and for a server that has lost it the message is new. A PUBREL cannot
// be repeated safely: a server that has lost the message may answer it like one that has
// finished it.
//
// Before 5.0 all servers do, so the PUBLISH goes out again. The message may then be
// delivered twice, but it is not lost. On 5.0 a server should answer Packet Identifier
// Not Found [MQTT-4.13.1-1], but not all do (Mosquitto 2.0). So after the PUBRELs a
// probe follows: a PUBREL for an identifier that no session can know. Its answer shows
// whether the other answers can be trusted.
//
// If a server that can be trusted has finished one of the messages, it has the former
// session. Messages that it does not find were then finished on an earlier connection.
// If no answer proves the former session, the fate of the others is unknown.
type doubt struct {
	tells   tells
	open    bool        // answers may be missing, see undecided
	probe   uint16      // identifier of the probe; 0: none is under way
	held    []*Outgoing // messages that PUBCOMP completed before the answer to the probe
	missing []*Outgoing // messages that PUBCOMP did not find, while other answers may prove the session
}

// tells says whether the server answers a PUBREL for an unknown identifier with
// Packet Identifier Not Found.
type tells uint8

const (
	tellsUnknown tells = iota
	tellsTruth
	tellsNothing
)

// probing stands for the probe in the table of identifiers.
var probing = new(Outgoing)

// beginDoubt marks the messages whose PUBREC may have come from a session that is
// gone.
func (s *Sender) beginDoubt() {
	for o := s.released.head; o != nil; o = o.next {
		if !o.doubtful {
			o.doubtful = true
			s.noteExchange(o)
		}
	}
	if s.failLost {
		s.failDoubtful()
	}
}

// failDoubtful ends QoS 2 messages whose PUBREC has not come. A server that has
// forgotten them would take their repeats for new messages, and no answer would show
// it.
func (s *Sender) failDoubtful() {
	for o := s.published.head; o != nil; {
		next := o.next
		if o.Publish.QoS == wire.ExactlyOnce {
			s.giveUp(o, ErrSessionLost)
		}
		o = next
	}
}

// publishDoubtful sends doubtful messages as PUBLISH again if the answer to PUBREL
// would prove nothing.
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
			s.unrelease(o)
			again = append(again, o)
		}
		o = next
	}
	if len(again) > 0 {
		s.published.merge(again)
	}
}

// merge adds list and sorts all messages in the order in which they were submitted.
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

// probe sends the probe behind all PUBRELs, if its answer matters.
func (s *Sender) probe() {
	if s.doubt.tells != tellsUnknown || !s.anyDoubtful() {
		return
	}
	id := s.ids.take()
	if id == 0 {
		s.doubt.tells = tellsNothing // no identifier is free for the probe
		return
	}
	s.ids.messages[id] = probing
	s.doubt.probe = id
	s.link.pubrel(id, wire.Success)
	s.suspicion.sent(false)
}

// probed handles the answer to the probe.
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

// endProbe forgets the probe and the messages that its answer would have decided. The
// next connection repeats it.
func (s *Sender) endProbe() {
	s.freeProbe()
	s.doubt.held, s.doubt.missing = nil, nil
}

// doubtfulPubcomp handles a PUBCOMP for a doubtful message, which r would complete.
func (s *Sender) doubtfulPubcomp(o *Outgoing, p *wire.Pubcomp, r Result) {
	if slices.Contains(s.doubt.held, o) || slices.Contains(s.doubt.missing, o) {
		return // the server has sent it again
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

// decideDoubtful completes the messages for which the answers so far suffice.
func (s *Sender) decideDoubtful() {
	d := &s.doubt
	if d.tells == tellsUnknown {
		return
	}
	proven := d.tells == tellsTruth && len(d.held) > 0
	var again []*Outgoing
	for _, o := range d.held {
		switch r := o.Result(); {
		case proven || r.Err != nil:
			s.finish(o, &s.released, r)
		case s.failLost:
			s.finish(o, &s.released, Result{Err: ErrSessionLost})
		default:
			s.unrelease(o)
			o.Publish.Duplicate = true
			again = append(again, o)
		}
	}
	d.held = nil
	if len(again) > 0 { // before all others, which are not repeated yet: see undecided
		s.published.merge(again)
		s.resend = s.published.head
	}
	if proven {
		s.proveSession()
	}
	if !s.anyDoubtful() {
		for _, o := range d.missing { // no answer is left that could prove the session
			s.finish(o, &s.released, o.Result())
		}
		d.missing = nil
	}
}

// unrelease makes o a message again whose PUBREC has not come.
func (s *Sender) unrelease(o *Outgoing) {
	s.released.remove(o)
	o.doubtful = false
	o.state = outgoingPublished
	s.noteExchange(o)
	o.Complete(Result{})
}

// undecided reports whether answers are still to come that decide about doubtful messages.
// No message may be sent before: those that have to be published again come first in the
// order.
func (s *Sender) undecided() bool {
	d := &s.doubt
	d.open = d.open && (len(d.held) > 0 || s.anyDoubtful())
	return d.open
}

// proveSession notes that the server has the former session.
func (s *Sender) proveSession() {
	for _, o := range s.doubt.missing {
		s.finish(o, &s.released, Result{})
	}
	s.doubt.missing = nil
	for o := s.released.head; o != nil; o = o.next {
		o.doubtful = false
	}
}

// anyDoubtful reports whether an answer about a doubtful message is still to come.
func (s *Sender) anyDoubtful() bool {
	missing := 0
	for o := s.released.head; o != nil; o = o.next {
		if o.doubtful {
			missing++
		}
	}
	return missing > len(s.doubt.missing)
}
