package mqtt

import (
	"fmt"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// answered takes what the server said of the filters of s: of a new Subscription, or
// when they were renewed. A Subscription of which nothing is granted ends.
func (s *Subscription) answered(a session.InterestAnswer) {
	b := s.inbox
	acks, err, partly := s.judge(a)
	if acks != nil {
		b.granted(s, acks)
	}
	isOver := err != nil && !partly
	if isOver {
		b.remove(s)
	}
	s.queue.beginConsuming()
	first := s.first.begun()
	if isOver {
		s.refused(err, first)
		s.unwant()
		if !first {
			b.subscriptionEnded(true)
		}
	}
	s.first.conclude(err, partly)
	if err != nil && !first {
		b.report(s, err, 0)
	}
}

// refused ends the Subscription because of err, the answer to SUBSCRIBE. The
// router does not have it any more.
func (s *Subscription) refused(err error, first bool) {
	switch {
	case first:
		s.neverBegan(err, false)
	case s.kind == kindHandled:
		s.queue.cutAndKeep(err) // Client.Handle looks after what is left
	default:
		s.discard(err)
	}
}

// neverBegan takes out a Subscription that nobody has received from. What had
// waited for it goes on waiting for another. With resume the server keeps the filters
// of a handler.
func (s *Subscription) neverBegan(err error, resume bool) {
	b := s.inbox
	left := s.queue.cutOff(err)
	claimed := min(s.claimed, len(left))
	b.giveBack(s.number, left[:claimed])
	if s.kind == kindHandled {
		b.handBack(s, left[claimed:], resume)
		return
	}
	dismiss(left[claimed:])
	b.remove(s)
}

// judge makes of an answer what the caller sees: acks for each filter, and an error
// about the first that was refused; partly says that others were granted.
func (s *Subscription) judge(a session.InterestAnswer) (acks []Ack, err error, partly bool) {
	if a.Err != nil {
		return nil, a.Err, false
	}
	acks = make([]Ack, len(a.Answers))
	failed := 0
	for i, f := range a.Answers {
		acks[i] = Ack{f.ReasonCode, f.ReasonString, f.UserProperties}
		if !f.ReasonCode.Failed() {
			continue
		}
		if failed == 0 {
			err = fmt.Errorf("filter %.80q: %w", s.options.Filters[i].Filter, refusal(wire.TypeSuback, f))
		}
		failed++
	}
	return acks, err, failed > 0 && failed < len(acks)
}
