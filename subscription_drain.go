package mqtt

import (
	"context"
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// Drain unsubscribes and lets the consumers take what the server sends before its
// answer. That includes QoS 1 and 2 messages that have to stay with the server because the
// buffer is full: they come again, on a new connection. Then the Subscription ends. Drain
// returns when the consumers have taken all, or when ctx ends. The end of ctx leaves the
// rest to the consumers, or to Unsubscribe to drop. A message in the buffered channel of
// Messages counts as taken.
func (s *Subscription) Drain(ctx context.Context) error {
	var err error
	if s.inbox.startDrain(s) {
		err = s.unsubscribe(ctx)
		s.finishDrain()
	}
	select {
	case <-s.queue.over:
		s.inbox.emptied(s)
		s.inbox.subscriptionEnded(true)
		if ended := s.Err(); err == nil && ended != nil {
			err = &requestError{"drain", s.name(), true, ended}
		}
		return err
	case <-ctx.Done():
		return s.undrained(err, context.Cause(ctx))
	}
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

// finishDrain lets s end when its queue is empty. Before that, what was left with the server
// has to come again.
func (s *Subscription) finishDrain() {
	b := s.inbox
	finish := func() {
		b.remove(s)
		s.queue.finishWhenEmpty(ErrUnsubscribed)
	}
	if b.outlivesConnection() && s.queue.awaitLeft() && b.workers.start(func() { s.awaitLeft(); finish() }) {
		return
	}
	finish()
}

// awaitLeft waits until what was left with the server has come again, or s has ended. When
// consumers have made room, a new connection brings it, which may take several turns. A
// server may also have dropped something meanwhile: it has nothing more if it answers while
// there is room, and still nothing has come.
func (s *Subscription) awaitLeft() {
	b := s.inbox
	b.holds.tellProgress(&b.progress)
	s.queue.tellProgress(&b.progress)
	for {
		var before uint64
		var all, calm bool
		waits := s.awaitUntil(func() bool {
			before, all, calm = s.queue.calm()
			return all || calm && !b.saturated()
		})
		if !waits || all {
			return
		}
		if !s.fence() {
			continue
		}
		if !s.fence() { // now what came before the first answer is in the queue
			continue
		}
		if came, _, calm := s.queue.calm(); calm && came == before {
			return
		}
	}
}

// fence waits until the server has answered a PINGREQ. It returns false if it does not, on
// this connection, or if all has come or s has ended meanwhile.
func (s *Subscription) fence() (answered bool) {
	b := s.inbox
	answer := make(chan error, 1)
	p := &session.Ping{Done: func(_ time.Duration, err error) {
		answer <- err // has capacity for it
		b.progress.made()
	}}
	return s.awaitUntil(func() bool { return b.ping(p) == nil }) && s.awaitUntil(func() bool {
		select {
		case err := <-answer:
			answered = err == nil
			return true
		default:
			_, all, _ := s.queue.calm()
			return all
		}
	}) && answered
}

// awaitUntil waits until there is what is wanted, which is asked again with each progress. It
// returns false if s has ended.
func (s *Subscription) awaitUntil(there func() bool) bool {
	for {
		next := s.inbox.progress.await()
		if there() {
			return true
		}
		select {
		case <-next:
		case <-s.queue.over:
			return false
		}
	}
}
