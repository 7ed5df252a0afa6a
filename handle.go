package mqtt

import (
	"context"

	"github.com/seed65a45251/mqtt/session"
)

// Handle subscribes and calls f forevery message like Subscription.Handle, until ctx
// or the Subscription ends, or f fails. Its Subscription ends with it: SubscribeWith
// and Subscription.Handle are for those who want to know when it has begun, and to
// go on with it afterwards.
//
// What f has not finished by then stays unacknowledged, above AtMostOnce: the
// next Handle, Subscription or Route of this client whose filter matches gets it
// first, and as long as none does, it holds up the acknowledgements behind it. The
// same goes for a panic in the caller's goroutine.
// With Config.Resume the server keeps the subscription too, so that nothing is
// lost between two processes; Client.Unsubscribe ends it. Filters that are shared
// it does not keep, unless SubscribeOptions.KeepShared is set: other workers are to
// have what comes. Otherwise Handle unsubscribes when it ends, without waiting for
// the answer.
//
// If the server refuses one of the filters, Handle returns that *ServerError.
func (c *Client) Handle(ctx context.Context, o SubscribeOptions, f func(context.Context, *Message) error) error {
	if f == nil {
		return errNoFunction(&o)
	}
	s, err := c.subscribe(ctx, o, true)
	if s == nil {
		return err
	}
	defer c.endHandle(s) // also when f panics
	if err != nil {
		return err // some filters were refused
	}
	return s.Handle(ctx, f)
}

func errNoFunction(o *SubscribeOptions) error {
	name := ""
	if len(o.Filters) > 0 {
		name = o.Filters[0].Filter
	}
	return &requestError{"handle", name, false, invalid("function", "is nil")}
}

// endHandle takes out the Subscription of a Client.Handle that has ended, and keeps
// what was not finished. At the end of the client the server keeps that.
func (c *Client) endHandle(s *Subscription) {
	c = s.client // it may have a connection of its own
	if c.router.isClosed() {
		release(s.queue.close(ErrUnsubscribed))
		return
	}
	c.router.abandon(s, nil, c.cfg.Resume)
	c.engine.do(func(engine *session.Client) {
		c.holds.hand(engine) // what was handled is acknowledged first
		s.endHandled(engine)
	})
	if s.queue.hasLeft() {
		s.fetchLeft()
	}
	c.retire(false)
}

// endHandled ends what the Subscription of a Client.Handle wants of the server.
func (s *Subscription) endHandled(engine *session.Client) {
	keep := s.client.cfg.Resume
	engine.Subscriptions.Remove(s.interest, keep)
	if keep && !s.options.KeepShared {
		engine.Subscriptions.Unsubscribe(s.options.shared(), nil)
	}
}

// Handle calls f forevery message until ctx or the Subscription ends, or f fails.
// It waits for the last f before it returns. Without SubscribeOptions.Concurrency f
// runs for one message at a time, in the caller's goroutine.
//
// A message is acknowledged when f returns nil, unless ManualAck is set. By
// returning a ReasonCode as it is, not wrapped, f refuses a message for good: the
// server is told why (before 5.0 it takes it for acknowledged), and Handle goes on.
// Every other error ends Handle, which returns it. The end of ctx is returned as its
// cause, that of the Subscription as Next returns it. The error is never nil.
//
// The Subscription lives on when ctx ends and when f fails. What f has not
// finished is the next consumer's, before all that came later, beginning with the
// message that f failed for, and until then it is not acknowledged: that holds up
// the acknowledgements behind it. The same goes for a panic in the caller's
// goroutine. After Unsubscribe nothing more is handled; what is left is dropped and
// acknowledged. Drain waits until f has returned for all messages.
//
// Several calls may run at once, also beside other consumers: each message goes to
// one of them, and the order is kept within each. With Concurrency a call takes up
// to 16 messages for each of its workers before their turn.
func (s *Subscription) Handle(ctx context.Context, f func(context.Context, *Message) error) error {
	if f == nil {
		return errNoFunction(&s.options)
	}
	h := &handler{sub: s, call: s.client.hooks.handler(f)}
	s.client.handlers.begin()
	s.queue.hold(&h.hold)
	defer h.end() // also when f panics
	run := h.run
	if s.options.Concurrency > 1 {
		run = h.runLanes
	}
	return &requestError{"handle", s.options.Filters[0].Filter, true, run(ctx)}
}

// handler is one call of Handle.
type handler struct {
	sub        *Subscription
	call       func(context.Context, *Message) error
	hold       holder
	unfinished []item // taken and not acknowledged, besides what hold has
}

// handleBatch is how many messages a handler takes at a time: enough to make
// the lock cheap, few enough to leave the limits of the Subscription their
// meaning. Other consumers can take back those whose turn has not come.
const handleBatch = 64

func (h *handler) run(ctx context.Context) error {
	h.hold.batch = make([]item, handleBatch)
	for done := 0; ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, err := h.sub.take(ctx, &h.hold, done, h.hold.batch)
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
		if err := h.over(ctx); err != nil {
			return done, err
		}
		m, ok := h.hold.claim()
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

// over says why no further message is handled, if that is so.
func (h *handler) over(ctx context.Context) error {
	select {
	case <-h.sub.queue.cut:
		return h.sub.queue.err()
	default:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// end gives back what was not finished. What the function has had is its own: others
// get a copy, as the function left it.
func (h *handler) end() {
	defer h.sub.client.handlers.end()
	for i, m := range h.unfinished {
		if m.lease == nil {
			h.unfinished[i].Message = m.Message.Clone()
			h.unfinished[i].receipt = m.receipt
		}
	}
	h.sub.giveBack(&h.hold, h.unfinished...)
}

// handle calls the function for one message and acknowledges it.
func (h *handler) handle(ctx context.Context, m *Message) error {
	err := h.call(ctx, m)
	if err == nil {
		h.sub.handedOver(m)
		return nil
	}
	// Not errors.As: a code in the chain may be about something else, a Publish of the function's.
	code, refused := err.(ReasonCode)
	if !refused {
		return err
	}
	m.receipt.settle(refusalOf(code))
	return nil
}

// refusalOf returns code if PUBACK and PUBREC may carry it [MQTT-3.4.2-1],
// [MQTT-3.5.2-1].
func refusalOf(code ReasonCode) ReasonCode {
	switch code {
	case Success, NoMatchingSubscribers, ImplementationSpecificError, NotAuthorized, TopicNameInvalid,
		PacketIdentifierInUse, QuotaExceeded, PayloadFormatInvalid:
		return code
	}
	return UnspecifiedError
}
