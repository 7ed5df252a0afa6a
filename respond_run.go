package mqtt

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
)

// responder is one call of Respond.
type responder struct {
	client  *Client
	sub     *Subscription
	f       func(context.Context, *Message) (*Message, error)
	slots   chan struct{} // holds a token for each call of f
	repeats *repeats
	calls   sync.WaitGroup

	mu   sync.Mutex // a leaf
	busy map[*Message]busy
}

// busy is a request that is neither answered nor given up.
type busy struct {
	request
	acknowledger acknowledger
	returned     bool // f has, or did not get it
}

var errStoppedResponding = errors.New("responder has stopped")

// run takes requests until ctx or the Subscription ends, and then those that are there.
func (r *responder) run(ctx context.Context) error {
	for _, b := range []*inbox{&r.client.inbox, r.sub.inbox} {
		b.handlers.add()
		defer b.handlers.done()
	}
	r.sub.queue.beginLoop()
	defer r.sub.queue.endLoop()
	working, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	sending, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	ended := r.serve(ctx, working, sending)
	end := func() { r.stop(stop, giveUp, ended) }
	defer time.AfterFunc(r.client.cfg.WriteTimeout, end).Stop()
	defer context.AfterFunc(r.client.ctx, end)()
	var draining sync.WaitGroup
	draining.Go(func() { r.drain(working) })
	defer func() {
		stop(ended)
		draining.Wait()
	}()
	_ = r.serve(working, working, sending)
	over := make(chan struct{})
	go func() {
		r.calls.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-sending.Done():
	}
	r.giveUpRest(sending)
	return ended
}

// stop ends the calls of f because of err, and gives their answers a moment if there is a
// connection.
func (r *responder) stop(stop, giveUp context.CancelCauseFunc, err error) {
	stop(err)
	if r.client.State() != Connected {
		giveUp(err)
		return
	}
	time.AfterFunc(leaveTimeout, func() { giveUp(err) })
}

// drain makes the server send no more requests; the queue ends behind those that are there.
func (r *responder) drain(working context.Context) {
	s := r.sub
	b := s.inbox
	switch {
	case b.router.isClosed():
		return // the session ends too, or the next process answers
	case b.connected():
		_ = s.Drain(working)
		return
	case b.startDrain(s): // no more can come
		s.dropInterest()
		b.remove(s)
		s.queue.finishWhenEmpty(ErrUnsubscribed)
	}
	b.emptied(s)
}

// serve calls f, with working for its context, for the requests that come until ctx or the Subscription ends.
func (r *responder) serve(ctx, working, sending context.Context) error {
	for {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var m *Message
		err := context.Cause(ctx)
		if err == nil {
			m, err = r.sub.next(ctx)
		}
		if err != nil {
			<-r.slots
			return err
		}
		r.mu.Lock()
		r.busy[m] = busy{request: requestOf(m), acknowledger: m.acknowledger} // f may change m
		r.mu.Unlock()
		r.take(working, sending, m)
	}
}

// take sees to m, which has a slot. If m expires, or waits for another, nothing is called.
func (r *responder) take(working, sending context.Context, m *Message) {
	if left, bounded := m.timeLeft(); bounded && left <= 0 {
		r.end(m, ErrExpired)
		<-r.slots
		return
	}
	k, first, waits := r.repeats.begin(m)
	if !first {
		r.client.counters.repeated.Add(1)
	}
	if waits {
		r.note(m, true)
		<-r.slots
		return
	}
	r.calls.Go(func() {
		defer func() { <-r.slots }()
		if !first {
			r.answer(sending, sending, m, k.outcome, nil)
			return
		}
		r.work(working, sending, m, k)
	})
}

// work calls f for m and answers it. What came again meanwhile has the answer, too; if
// m has expired, one of those takes its place.
func (r *responder) work(working, sending context.Context, m *Message, k *known) {
	for m != nil {
		o, publishing, inTime := r.call(working, sending, m)
		if !inTime {
			r.end(m, ErrExpired)
			if m = r.repeats.giveUp(k); m != nil {
				r.note(m, false)
			}
			continue
		}
		r.answer(sending, publishing, m, o, k)
		return
	}
}

// call calls f with the time that m has left, and with what hooks make of the context. The
// response is to be published with the context that is returned, which ends with sending.
// inTime is false if the time is over.
func (r *responder) call(ctx, sending context.Context, m *Message) (o outcome, publishing context.Context, inTime bool) {
	if left, bounded := m.timeLeft(); bounded {
		if left <= 0 {
			return outcome{}, sending, false
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, left, ErrExpired)
		defer cancel()
	}
	if r.sub.inbox.consuming == nil {
		o.answer, o.failure = r.f(ctx, m)
		return o, sending, context.Cause(ctx) != ErrExpired
	}
	_ = r.sub.inbox.consuming.around(ctx, OperationRespond, r.sub.filterOf(m.Topic), m, nil, func(ctx context.Context) error {
		publishing = answering{sending, context.WithoutCancel(ctx)}
		o.answer, o.failure = r.f(ctx, m)
		return o.failure
	})
	return o, publishing, context.Cause(ctx) != ErrExpired
}

// answering is the context of a response: it ends with the first and has the values of the
// second, which never ends.
type answering struct {
	context.Context
	values context.Context
}

func (a answering) Value(key any) any {
	if v := a.values.Value(key); v != nil {
		return v
	}
	return a.Context.Value(key)
}

// answer publishes the response to m, with publishing for the context, and then
// acknowledges m, whatever became of the response: a request that cannot be answered must
// not hold up others. sending ends when there is no time left to answer. If k is not nil,
// the outcome is remembered, and what came again ends with m.
func (r *responder) answer(sending, publishing context.Context, m *Message, o outcome, k *known) {
	b, mine := r.note(m, true)
	if !mine {
		return // Respond has returned
	}
	err := r.publish(publishing, b.request, o.answer, o.failure)
	if err != nil && sending.Err() != nil && r.others(b.topic, b.qos) {
		return // giveUpRest looks after it
	}
	// Before the acknowledgement, so that nothing can come again too early.
	again := r.repeats.finish(k, o)
	r.end(m, err)
	for _, m := range again {
		r.end(m, err)
	}
}

// note notes whether f has returned m, or never got it. mine is false if Respond has
// returned.
func (r *responder) note(m *Message, returned bool) (b busy, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, mine = r.busy[m]; mine {
		b.returned = returned
		r.busy[m] = b
	}
	return b, mine
}

// end ends a request, of which err says why it has no response.
func (r *responder) end(m *Message, err error) {
	r.mu.Lock()
	b, mine := r.busy[m]
	delete(r.busy, m)
	r.mu.Unlock()
	if mine {
		r.answered(b, err)
	}
}

// answered is the end of a request, of which err says why it has no response.
func (r *responder) answered(b busy, err error) {
	if err != nil {
		r.client.counters.unanswered.Add(1)
		r.client.cfg.Logger.Warn("mqtt request not answered", "client_id", r.client.cfg.ClientID, "topic", b.topic, "cause", err)
	}
	b.acknowledger.acknowledge(Success)
}

// others says that another responder can take a request that is not acknowledged.
func (r *responder) others(topic string, qos QoS) bool {
	if qos == AtMostOnce {
		return false
	}
	if r.client.cfg.Resume {
		return true
	}
	for _, f := range r.sub.options.shared() {
		if _, plain, _ := match.SplitShared(f); match.MatchPlain(plain, topic) {
			return true
		}
	}
	return false
}

// giveUpRest looks after the requests that have no answer when the time is over.
func (r *responder) giveUpRest(sending context.Context) {
	s := r.sub
	rest := s.queue.cutOff(ErrUnsubscribed)
	s.inbox.remove(s)
	r.mu.Lock()
	left := r.busy
	r.busy = nil
	r.mu.Unlock()
	var back []item
	for m, b := range left {
		switch {
		case !r.others(b.topic, b.qos):
			r.answered(b, errStoppedResponding)
		case b.returned:
			again := m.Clone() // f had it
			again.acknowledger = b.acknowledger
			back = append(back, item{Message: again})
		default:
			// f has it: it stays without an acknowledgement for good.
			if token := b.acknowledger.leaveOnServer(); !token.IsZero() {
				s.inbox.leaveOnServer([]session.Token{token})
			}
		}
	}
	for _, m := range rest {
		if r.others(m.Topic, m.QoS) {
			back = append(back, m)
		}
	}
	switch {
	case s.inbox.router.isClosed():
		releaseAll(rest) // it all stays with the server
		return
	case len(back) > 0:
		s.inbox.giveBackLate(s, back)
	}
	r.refuse(sending, rest)
	s.unsubscribeLater()
}

// refuse tells the requests of rest that nobody will answer that there is no responder any more.
func (r *responder) refuse(sending context.Context, rest []item) {
	var refusals errgroup.Group
	refusals.SetLimit(16)
	for _, m := range rest {
		if r.others(m.Topic, m.QoS) {
			continue
		}
		refusals.Go(func() error {
			b := busy{request: requestOf(m.Message), acknowledger: m.acknowledger}
			err := errStoppedResponding
			if r.client.State() == Connected {
				err = r.publish(sending, b.request, nil, err)
			}
			r.answered(b, err)
			return nil
		})
	}
	_ = refusals.Wait()
}
