package session

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// sentPacket is a packet that the server has not answered on this connection.
type sentPacket struct {
	begin, end uint64 // which bytes of the connection it is
	message    *Outgoing
	request    *Request
}

// sentPackets yields what is without an answer.
func (s *Sender) sentPackets(yield func(sentPacket) bool) {
	for _, l := range []*outgoingList{&s.published, &s.released} {
		for o := l.head; o != nil; o = o.next {
			size := 4 // of PUBREL
			if o.state == outgoingPublished {
				size = o.Publish.Size(s.link.Version)
			}
			if o.unanswered && !yield(sentPacket{o.end - min(uint64(size), o.end), o.end, o, nil}) {
				return
			}
		}
	}
	for _, r := range s.ids.requests {
		if !yield(sentPacket{r.begin, r.end, nil, r}) {
			return
		}
	}
}

// blames returns what is held against f, to add to it: for each of its filters, if it
// is a request.
func (s *Sender) blames(f sentPacket) (list []*blame) {
	if f.message != nil {
		return []*blame{f.message.present()}
	}
	for key := range f.request.filterKeys {
		list = append(list, s.suspicion.blameFor(key))
	}
	return list
}

// judge draws the conclusions from the end of a connection that the server had
// accepted. cause is how the server ended it; nil: it did not. It comes before the
// link is closed, and before Stop. now may be zero, which means that it is not known;
// then there is no control.
func (s *Sender) judge(cause error, now time.Time) {
	c := &s.suspicion
	switch {
	case cause == nil:
		return
	case !maybeForPacket(cause):
		if _, said := errors.AsType[*ServerError](cause); said {
			s.clearSuspicion() // it has reasons of its own, and may not always find the time to say so
		}
		return
	case c.control:
		s.clearSuspicion() // it hangs up without any of them as well
		return
	}
	var got []sentPacket
	whole := true
	for f := range s.sentPackets {
		switch written := s.link.account.written; {
		case f.begin >= written:
			continue
		case f.end > written && !saidTooLarge(cause): // for which the header is enough
			whole = false
		}
		got = append(got, f)
	}
	if c.controlled && len(got) == 0 {
		s.clearSuspicion() // the control was over, but nothing had left yet
		return
	}
	alone := len(got) == 1 && c.unanswered == 1 && whole && !s.link.unanswerable
	if _, said := errors.AsType[*ServerError](cause); said && alone {
		c.said = cause
	}
	for _, f := range got {
		list := s.blames(f)
		// What is to be tried out filter by filter is not judged as a whole before.
		single := len(list) == 1 || s.suspicion.isSuspect(orNone(f.request).filterKeys)
		for _, b := range list {
			b.seen = min(b.seen+1, undeliverableAfter)
			if alone && single {
				s.noteDuration(b, now)
				b.alone++
			}
		}
		if alone && single && list[0].alone >= undeliverableAfter {
			s.giveUpSuspect(f, fmt.Errorf("%w: %w", ErrUndeliverable, cmp.Or(c.said, cause)))
		}
	}
	s.countSuspects()
}

var noRequest = &Request{Unsubscribe: new(wire.Unsubscribe)}

func orNone(r *Request) *Request {
	if r == nil {
		return noRequest
	}
	return r
}

// noteDuration notes how long a connection has lasted on which a suspect was alone.
func (s *Sender) noteDuration(b *blame, now time.Time) {
	c := &s.suspicion
	if b.suspect() && !now.IsZero() && !c.began.IsZero() {
		c.longest = max(c.longest, now.Sub(c.began), 1)
	}
}

// giveUpSuspect gives up what f is. The others may go together again.
func (s *Sender) giveUpSuspect(f sentPacket, err error) {
	if f.message != nil {
		s.giveUp(f.message, err)
	} else {
		f.request.Err = err
		s.suspicion.forget(f.request.filterKeys)
	}
	for b := range s.allBlames {
		b.seen = 0
	}
	s.suspicion.longest, s.suspicion.said = 0, nil
}

// clearSuspicion forgets everything that is held against anything.
func (s *Sender) clearSuspicion() {
	for b := range s.allBlames {
		*b = blame{}
	}
	clear(s.suspicion.filters)
	s.suspicion.longest, s.suspicion.said = 0, nil
	s.countSuspects()
}

// countSuspects looks for what is left to try out.
func (s *Sender) countSuspects() {
	c := &s.suspicion
	c.suspects, c.due = 0, false
	for o := range s.allMessages {
		if o.suspect() {
			c.suspects++
		}
	}
	for b := range s.allBlames {
		c.due = c.due || b.due()
	}
}

func (s *Sender) allMessages(yield func(*Outgoing) bool) {
	for _, l := range []*outgoingList{&s.queue, &s.published, &s.released} {
		for o := l.head; o != nil; o = o.next {
			if !yield(o) {
				return
			}
		}
	}
}

func (s *Sender) allBlames(yield func(*blame) bool) {
	for o := range s.allMessages {
		if !yield(&o.blames[0]) || !yield(&o.blames[1]) {
			return
		}
	}
	for _, b := range s.suspicion.filters {
		if !yield(b) {
			return
		}
	}
}

// beginSuspicion begins a connection for the suspicion, before anything is sent on it.
func (s *Sender) beginSuspicion(now time.Time) {
	s.countSuspects()
	s.suspicion.beginConnection(now)
	s.link.holdQoS0 = s.suspicion.suspects > 0
}

// markSent notes that a packet of o is on its way.
func (s *Sender) markSent(o *Outgoing) {
	o.end = s.link.position()
	if o.unanswered {
		return
	}
	o.unanswered = true
	s.suspicion.sent(o.suspect())
	s.link.holdQoS0 = s.link.holdQoS0 || s.suspicion.alone
}

// markAnswered notes that o was answered, which clears it, or is given up.
func (s *Sender) markAnswered(o *Outgoing) {
	suspect := o.suspect()
	s.clearBlame(o)
	if o.unanswered {
		o.unanswered = false
		s.answered(suspect)
	}
	if suspect && s.suspicion.suspects == 0 {
		s.link.unholdQoS0()
	}
}

// markReceived notes that the PUBLISH of o was answered, and PUBREL is next.
func (s *Sender) markReceived(o *Outgoing) {
	if !o.blames[1].suspect() {
		release := o.blames[1]
		s.markAnswered(o)
		o.blames[1] = release
		return
	}
	o.blames[0] = blame{}
	if o.unanswered { // and goes on alone
		o.unanswered = false
		s.suspicion.unanswered--
	}
}

// markUnsent notes that o begins anew, with what is held against it.
func (s *Sender) markUnsent(o *Outgoing) {
	if o.unanswered {
		o.unanswered = false
		s.answered(o.suspect())
	}
}

// answered notes that a packet was answered. What was held back because of a suspect
// may follow.
func (s *Sender) answered(suspect bool) {
	s.suspicion.answered(suspect, s.now)
	if suspect {
		s.link.unholdQoS0()
	}
}

// clearUnanswered forgets what is held against o, which is completed without an answer.
func (s *Sender) clearUnanswered(o *Outgoing) {
	if o.blames == (blames{}) {
		return
	}
	s.clearBlame(o)
	if s.suspicion.suspects == 0 {
		s.link.unholdQoS0()
	}
}

// maybeForPacket says whether a server that ends a connection like this may do it
// because of a packet that it got.
func maybeForPacket(cause error) bool {
	if said, ok := errors.AsType[*ServerError](cause); ok {
		switch said.ReasonCode {
		case wire.ServerBusy, wire.ServerUnavailable, wire.ServerShuttingDown, wire.KeepAliveTimeout, wire.SessionTakenOver,
			wire.AdministrativeAction, wire.UseAnotherServer, wire.ServerMoved, wire.ConnectionRateExceeded, wire.MaximumConnectTime,
			wire.MessageRateTooHigh, wire.Banned, wire.BadAuthenticationMethod:
			return false // about itself, about us or about all packets
		}
		return true
	}
	if fault, ok := errors.AsType[*wire.Error](cause); ok {
		// What begins an exchange of its own is no answer.
		return fault.Packet != wire.TypePublish && fault.Packet != wire.TypePubrel
	}
	return true
}

func saidTooLarge(cause error) bool {
	said, ok := errors.AsType[*ServerError](cause)
	return ok && said.ReasonCode == wire.PacketTooLarge
}

// errHungUp is the cause of an end of which only that is known.
var errHungUp = errors.New("server closed the connection")

// clearBlame forgets what is held against a message.
func (s *Sender) clearBlame(o *Outgoing) {
	if o.suspect() {
		s.suspicion.suspects--
	}
	o.blames = blames{}
}
