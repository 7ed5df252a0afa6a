package mqtt

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// Handle calls f for every message until ctx or the Subscription ends, or f fails. It
// waits for the last call of f before it returns. Without SubscribeOptions.Concurrency
// f runs for one message at a time, in the caller's goroutine.
//
// A message is acknowledged when f returns nil, unless ManualAck is set. If f returns a
// *Refusal, or a ReasonCode as it is, not wrapped, it refuses the message for good, as
// Message.Refuse does, and Handle continues. Every other error ends Handle, which
// returns it, unless SubscribeOptions.OnFailure says otherwise. If ctx ends, Handle
// returns its cause. If the Subscription ends, it returns what Next returns. The error
// is never nil.
//
// When ctx ends or f fails, the Subscription lives on. The next consumer gets what f
// has not finished, before all later messages, beginning with the message that f failed
// for. Until then these messages are not acknowledged and hold up the acknowledgements
// behind them. The same goes for a panic in the caller's goroutine. After Unsubscribe
// nothing more is handled; the rest is dropped and acknowledged. Drain waits until f
// has returned for all messages.
//
// Several calls of Handle may run at once, also beside other consumers: each message
// goes to one of them, and each gets its messages in order. With Concurrency a call
// takes up to 16 messages ahead for each of its workers.
func (s *Subscription) Handle(ctx context.Context, f func(context.Context, *Message) error) error {
	if f == nil {
		return errNoFunction(&s.options)
	}
	h := &handler{sub: s, call: s.hooked(f)}
	s.inbox.handlers.add()
	h.consumer.feeds = s.options.Concurrency > 1
	s.queue.addConsumer(&h.consumer)
	defer h.giveBack() // also when f panics
	run := h.run
	if s.options.Concurrency > 1 {
		run = h.runLanes
	}
	return &requestError{"handle", s.name(), true, run(ctx)}
}

func errNoFunction(o *SubscribeOptions) error {
	name := ""
	if len(o.Filters) > 0 {
		name = o.Filters[0].Filter
	}
	return &requestError{"handle", name, false, invalid("function", "is nil")}
}

// handler is one call of Handle.
type handler struct {
	sub        *Subscription
	call       func(context.Context, *Message) error
	consumer   consumer
	unfinished []item // taken and not acknowledged, besides what consumer has
}

// handleBatch is how many messages a handler takes at a time: enough to make
// the lock cheap, few enough to leave the limits of the Subscription their
// meaning. Other consumers can take back those whose turn has not come.
const handleBatch = 64

func (h *handler) run(ctx context.Context) error {
	h.consumer.batch = make([]item, handleBatch)
	for done := 0; ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, err := h.sub.pop(ctx, &h.consumer, done, h.consumer.batch, false)
		if err != nil {
			return err
		}
		if done, err = h.runBatch(ctx); err != nil {
			return err
		}
	}
}

// runBatch calls the function for the messages of the batch and says for how many.
// What was lent goes back as soon as the next message is from another read.
func (h *handler) runBatch(ctx context.Context) (done int, err error) {
	var lease *lease
	used := 0                              // messages of it
	defer func() { lease.release(used) }() // also when the function panics
	for {
		if err := h.stopped(ctx); err != nil {
			return done, err
		}
		m, ok := h.consumer.claimNext()
		if !ok {
			return done, nil
		}
		if m.lease != lease {
			lease.release(used)
			lease, used = m.lease, 0
		}
		h.unfinished = append(h.unfinished[:0], m)
		if err := h.handle(ctx, m.Message); err != nil {
			return done, err
		}
		h.unfinished = h.unfinished[:0]
		used++
		done++
	}
}

// stopped says why no further message is handled, if that is so.
func (h *handler) stopped(ctx context.Context) error {
	if h.sub.queue.isCut.Load() {
		return h.sub.queue.err()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// giveBack gives back what was not finished. What the function has had is its own:
// others get a copy, as the function left it.
func (h *handler) giveBack() {
	defer h.sub.inbox.handlers.done()
	for i, m := range h.unfinished {
		if m.lease == nil {
			h.unfinished[i].Message = m.Message.Clone()
			h.unfinished[i].acknowledger = m.acknowledger
		}
	}
	h.sub.giveBack(&h.consumer, h.unfinished...)
}

// handle calls the function for one message, as often as the policy says, and
// acknowledges it.
func (h *handler) handle(ctx context.Context, m *Message) error {
	if h.sub.options.OnFailure != nil {
		return h.handleAll(ctx, m)
	}
	return h.settle(m, h.call(ctx, m))
}

// settle acknowledges or refuses m, for which the function has returned err. It returns
// err if that is neither.
func (h *handler) settle(m *Message, err error) error {
	if err == nil {
		h.sub.handedOver(m)
		return nil
	}
	refusal, ok := refusalIn(err)
	if !ok {
		return err
	}
	m.acknowledger.refuse(refusalOf(refusal.ReasonCode), propertyText(refusal.ReasonString))
	return nil
}

// lanesAhead is how many messages a handler takes out of the queue for each
// worker, in search of keys that are not busy.
const lanesAhead = 16

// runLanes is run with several workers.
func (h *handler) runLanes(ctx context.Context) error {
	o := &h.sub.options
	l := newLanes(lanesAhead * o.Concurrency)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.fill(ctx, l) })
	for range o.Concurrency {
		g.Go(func() error { return h.work(ctx, l) })
	}
	err := g.Wait()
	h.unfinished = l.left()
	return err
}

// fill puts messages into their lanes.
func (h *handler) fill(ctx context.Context, l *lanes) error {
	key := h.sub.options.laneKey()
	var next [1]item
	for {
		select {
		case l.slots <- struct{}{}:
		case <-h.sub.queue.cut: // nobody is to wait for the end until there is space
			return h.sub.queue.err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if _, err := h.sub.pop(ctx, &h.consumer, 0, next[:], false); err != nil {
			return err
		}
		l.add(key(next[0]), next[0])
	}
}

// handleIn makes one attempt at m, the first message of n. What it returns is as with
// attempt.
func (h *handler) handleIn(ctx context.Context, n *lane, m *Message) (wait time.Duration, err error) {
	if h.sub.options.OnFailure == nil {
		return settled, h.handle(ctx, m)
	}
	if n.attempts == nil {
		n.attempts = &attempts{original: *m}
	} else {
		m = new(n.attempts.original)
	}
	if wait, err = h.attempt(ctx, n.attempts, m); wait < 0 {
		n.attempts = nil
	}
	return wait, err
}

// laneKey returns what makes the key of a message.
func (o *SubscribeOptions) laneKey() func(item) laneKey {
	switch {
	case o.Unordered:
		return func(m item) laneKey { return laneKey{number: m.number} }
	case o.OrderBy != nil:
		return func(m item) laneKey { return laneKey{key: o.OrderBy(m.Message)} }
	}
	return func(m item) laneKey { return laneKey{key: m.Topic} }
}

// work handles messages until ctx ends or one fails.
func (h *handler) work(ctx context.Context, l *lanes) error {
	for {
		select {
		case lane := <-l.ready:
			if err := h.stopped(ctx); err != nil {
				return err
			}
			// It stays in its lane until it is done, where left finds it.
			m := l.first(lane)
			if wait, err := h.handleIn(ctx, lane, m.Message); err != nil {
				return err
			} else if wait >= 0 {
				l.later(lane, wait)
				continue
			}
			m.lease.release(1)
			l.done(lane)
			h.sub.queue.handedOver(&h.consumer, 1)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
