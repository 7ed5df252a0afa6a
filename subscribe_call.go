package mqtt

import (
	"fmt"
	"sync"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// firstAnswer is how SUBSCRIBE was answered for the first time, which somebody waits
// for.
type firstAnswer struct {
	once   sync.Once
	err    error // set before done is closed, as is partly
	partly bool  // only some of the filters were refused
	done   chan struct{}
}

// conclude ends the wait. It reports whether this was the first answer.
func (f *firstAnswer) conclude(err error, partly bool) (first bool) {
	f.once.Do(func() {
		f.err, f.partly = err, partly
		first = true
		close(f.done)
	})
	return first
}

// answered takes what the server said of the filters of s: of a new Subscription, or
// when they were renewed. A Subscription of which nothing is granted ends.
func (s *Subscription) answered(a session.InterestAnswer) {
	acks, err, partly := s.judge(a)
	if acks != nil {
		s.client.router.granted(s, acks)
	}
	isOver := err != nil && !partly
	if isOver {
		s.client.router.remove(s)
	}
	s.queue.begin()
	first := s.first.begun()
	if isOver {
		s.refused(err, first)
		s.client.unwant(s)
		if !first {
			s.client.retire(true)
		}
	}
	s.first.conclude(err, partly)
	if err != nil && !first {
		s.client.watchers.send(Event{State: s.client.State(), Err: err, Subscription: s})
	}
}

// begun reports whether nothing was answered before.
func (f *firstAnswer) begun() bool {
	select {
	case <-f.done:
		return false
	default:
		return true
	}
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

// refusal says how the server has refused a filter, in a packet of type t or by ending
// the connection.
func refusal(t wire.PacketType, f session.FilterAnswer) error {
	if f.Err != nil {
		return f.Err
	}
	return &ServerError{Packet: t, ReasonCode: f.ReasonCode, ReasonString: f.ReasonString, UserProperties: f.UserProperties}
}
