package session

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// sentPacket is a packet of this connection that the server has not answered.
type sentPacket struct {
	begin, end uint64 // its position on the connection
	message    *Outgoing
	request    *Request
}

// sentPackets yields the packets without an answer.
func (s *Sender) sentPackets(yield func(sentPacket) bool) {
	for _, l := range []*outgoingList{&s.published, &s.released} {
		for o := l.head; o != nil; o = o.next {
			size := 4 // the size of PUBREL
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

// blames returns the blames of f, for the caller to update. A request has one for
// each of its filters.
func (s *Sender) blames(f sentPacket) (list []*blame) {
	if f.message != nil {
		return []*blame{f.message.present()}
	}
	for key := range f.request.filterKeys {
		list = append(list, s.suspicion.blameFor(key))
	}
	return list
}

// judge updates the blames at the end of a connection that the server had accepted.
// cause says how the server ended it; nil: the server did not. judge is called before
// the link is closed, and before Stop. now may be zero if the time is not known; then
// there is no control.
func (s *Sender) judge(cause error, now time.Time) {
	c := &s.suspicion
	switch {
	case cause == nil:
		return
	case !maybeForPacket(cause):
		if _, said := errors.AsType[*ServerError](cause); said {
			s.clearSuspicion() // it has a reason of its own, which it may not say every time
		}
		return
	case c.control:
		s.clearSuspicion() // it also hangs up without any of the suspects
		return
	}
	var got []sentPacket
	whole := true
	for f := range s.sentPackets {
		switch written := s.link.account.written; {
		case f.begin >= written:
			continue
		case f.end > written && !saidTooLarge(cause) && !s.link.onlyBegun():
			whole = false
		}
		got = append(got, f)
	}
	if c.controlled && len(got) == 0 {
		s.clearSuspicion() // the control was over, and no packet had been sent yet
		return
	}
	alone := len(got) == 1 && c.unanswered == 1 && whole && !s.link.unanswerable && !c.outlasted(now)
	if _, said := errors.AsType[*ServerError](cause); said && alone {
		c.said = cause
	}
	for _, f := range got {
		list := s.blames(f)
		// A request whose filters are still to be tried one by one is not blamed as a
		// whole.
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

// noteDuration notes how long the connection lasted while a suspect was alone on it.
func (s *Sender) noteDuration(b *blame, now time.Time) {
	c := &s.suspicion
	if b.suspect() && !now.IsZero() && !c.began.IsZero() {
		c.longest = max(c.longest, now.Sub(c.began), 1)
	}
}

// giveUpSuspect gives up the message or request of f. The other packets may be sent
// together again.
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

// clearSuspicion resets all blames.
func (s *Sender) clearSuspicion() {
	for b := range s.allBlames {
		*b = blame{}
	}
	clear(s.suspicion.filters)
	s.suspicion.longest, s.suspicion.said = 0, nil
	s.countSuspects()
}

// countSuspects counts the suspects, and finds out whether one of them has its last
// chance.
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

// beginSuspicion prepares the suspicion for a new connection, before anything is sent
// on it.
func (s *Sender) beginSuspicion(now time.Time, keepAlive time.Duration) {
	s.countSuspects()
	s.suspicion.beginConnection(now, keepAlive)
	s.link.holdQoS0 = s.suspicion.suspects > 0
}

// markSent notes that a packet of o was sent.
func (s *Sender) markSent(o *Outgoing) {
	o.end = s.link.position()
	if o.unanswered {
		return
	}
	o.unanswered = true
	s.suspicion.sent(o.suspect())
	s.link.holdQoS0 = s.link.holdQoS0 || s.suspicion.alone
}

// markAnswered notes that o was answered, which resets its blame, or was given up.
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

// markReceived notes that the PUBLISH of o was answered and PUBREL is next.
func (s *Sender) markReceived(o *Outgoing) {
	if !o.blames[1].suspect() {
		release := o.blames[1]
		s.markAnswered(o)
		o.blames[1] = release
		return
	}
	o.blames[0] = blame{}
	if o.unanswered { // PUBREL is sent alone, too
		o.unanswered = false
		s.suspicion.unanswered--
	}
}

// markUnsent notes that o starts anew. It keeps its blame.
func (s *Sender) markUnsent(o *Outgoing) {
	if o.unanswered {
		o.unanswered = false
		s.answered(o.suspect())
	}
}

// answered notes that a packet was answered. Packets that waited because of a suspect
// may follow.
func (s *Sender) answered(suspect bool) {
	s.suspicion.answered(suspect, s.now)
	if suspect {
		s.link.unholdQoS0()
	}
}

// clearUnanswered resets the blame of o, which is completed without an answer.
func (s *Sender) clearUnanswered(o *Outgoing) {
	if o.blames == (blames{}) {
		return
	}
	s.clearBlame(o)
	if s.suspicion.suspects == 0 {
		s.link.unholdQoS0()
	}
}

// maybeForPacket reports whether a server that ends a connection with this cause may
// do so because of a packet that it got.
func maybeForPacket(cause error) bool {
	if said, ok := errors.AsType[*ServerError](cause); ok {
		switch said.ReasonCode {
		case wire.ServerBusy, wire.ServerUnavailable, wire.ServerShuttingDown, wire.KeepAliveTimeout, wire.SessionTakenOver,
			wire.AdministrativeAction, wire.UseAnotherServer, wire.ServerMoved, wire.ConnectionRateExceeded, wire.MaximumConnectTime,
			wire.MessageRateTooHigh, wire.Banned, wire.BadAuthenticationMethod:
			return false // the reason is the server, this client or no particular packet
		}
		return true
	}
	if fault, ok := errors.AsType[*wire.Error](cause); ok {
		// A packet that begins an exchange of the server's own is not an answer.
		return fault.Packet != wire.TypePublish && fault.Packet != wire.TypePubrel
	}
	return true
}

func saidTooLarge(cause error) bool {
	said, ok := errors.AsType[*ServerError](cause)
	return ok && said.ReasonCode == wire.PacketTooLarge
}

// errHungUp is the cause of a connection's end of which nothing further is known.
var errHungUp = errors.New("server closed the connection")

// clearBlame resets the blame of a message.
func (s *Sender) clearBlame(o *Outgoing) {
	if o.suspect() {
		s.suspicion.suspects--
	}
	o.blames = blames{}
}
