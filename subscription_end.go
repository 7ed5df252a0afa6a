package mqtt

import (
	"context"
	"errors"

	"github.com/seed65a45251/mqtt/session"
)

// Unsubscribe ends the Subscription at once. Messages that no consumer has taken are
// dropped, and acknowledged so that they do not come again. Unsubscribe then waits for
// the server's answer, unless another Subscription still needs the filters. An error
// says that the server did not agree or that its answer did not come, so that it may go
// on sending. The request stays under way when ctx ends.
func (s *Subscription) Unsubscribe(ctx context.Context) error {
	s.discard(ErrUnsubscribed)
	s.inbox.remove(s)
	s.inbox.emptied(s)
	err := s.unsubscribe(ctx)
	s.inbox.subscriptionEnded(true)
	return err
}

// Drain unsubscribes and lets the consumers take what the server sends before its
// answer. Then the Subscription ends. Drain returns when the consumers have taken all,
// or when ctx ends. The end of ctx leaves the rest to the consumers, or to Unsubscribe
// to drop. A message in the buffered channel of Messages counts as taken.
//
// A QoS 1 or 2 message for which the buffer had no room is not among them. It is for another
// Subscription when the server sends it again; if none wants it, it is dropped and counts in
// Stats.Unclaimed. Of a shared filter it waits, unacknowledged, for the next that wants it.
func (s *Subscription) Drain(ctx context.Context) error {
	var err error
	if s.inbox.startDrain(s) {
		err = s.unsubscribe(ctx)
		s.inbox.remove(s)
		s.queue.finishWhenEmpty(ErrUnsubscribed)
	}
	select {
	case <-s.queue.over:
	case <-ctx.Done():
		select {
		case <-s.queue.over: // there was nothing to wait for
		default:
			return s.undrained(err, context.Cause(ctx))
		}
	}
	s.inbox.emptied(s)
	s.inbox.subscriptionEnded(true)
	if ended := s.Err(); err == nil && ended != nil {
		err = &requestError{"drain", s.name(), true, ended}
	}
	return err
}

// undrained is the error of a Drain that ended for cause. err is that of unsubscribing,
// which may have the same cause.
func (s *Subscription) undrained(err, cause error) error {
	switch {
	case err == nil:
		return &requestError{"drain", s.name(), true, cause}
	case !errors.Is(err, cause):
		return &requestError{"drain", s.name(), !NotSent(err), errors.Join(inner{err}, cause)}
	}
	return &requestError{"drain", s.name(), !NotSent(err), err}
}

// unsubscribe makes the server end the filters of s that nobody else wants, and waits
// for its answer.
func (s *Subscription) unsubscribe(ctx context.Context) error {
	if s.interest == nil {
		return nil
	}
	_, err := s.inbox.engine.leaveFilters(ctx, s.name(), func(engine *session.Client) *session.Leave {
		return engine.Subscriptions.Remove(s.interest, false)
	})
	return err
}

// dropInterest ends what s wants of the server, and does not wait for its answer.
func (s *Subscription) dropInterest() {
	if s.interest != nil {
		s.inbox.engine.do(func(engine *session.Client) { engine.Subscriptions.Remove(s.interest, false) })
	}
}

// unsubscribeLater is Unsubscribe without waiting for the server.
func (s *Subscription) unsubscribeLater() {
	s.discard(ErrUnsubscribed)
	s.inbox.remove(s)
	s.dropInterest()
	s.inbox.subscriptionEnded(true)
}

// discard closes the queue because of err. What nobody took is acknowledged: it
// must not hold up the acknowledgements of what came later.
func (s *Subscription) discard(err error) {
	dismiss(s.queue.cutOff(err))
	s.renounceLeft()
}

// endHandled takes out the Subscription of a Client.Handle that has ended, and keeps
// what was not finished. At the end of the client the server keeps that.
func (s *Subscription) endHandled() {
	b := s.inbox
	if b.router.isClosed() {
		b.abandon(s.queue.cutOff(ErrUnsubscribed))
		return
	}
	b.handBack(s, nil, b.resume)
	b.engine.do(func(engine *session.Client) {
		b.holds.handLocked(engine) // what was handled is acknowledged first
		s.leaveHandled(engine)
	})
	s.passLeft()
	b.subscriptionEnded(false)
}

// leaveHandled ends what the Subscription of a Client.Handle wants of the server.
func (s *Subscription) leaveHandled(engine *session.Client) {
	keep := s.inbox.resume
	engine.Subscriptions.Remove(s.interest, keep)
	if keep && !s.options.KeepShared {
		engine.Subscriptions.Unsubscribe(s.options.shared(), nil)
	}
}
