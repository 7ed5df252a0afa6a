package mqtt

import (
	"context"
	"errors"

	"github.com/seed65a45251/mqtt/session"
)

// Handle subscribes and calls f for every message until ctx or the Subscription
// ends, or f fails. It waits for the last f before it returns. Without
// SubscribeOptions.Concurrency f runs for one message at a time, in the caller's
// goroutine.
//
// A message is acknowledged when f returns nil. By returning a ReasonCode as it is,
// not wrapped, f refuses a message for good: the server is told why (before 5.0 it
// takes it for acknowledged), and Handle goes on. Every other error ends Handle,
// which returns it. The end of ctx is returned as its cause.
//
// What f has not finished by then stays unacknowledged, above AtMostOnce: the
// next Handle, Subscription or Route of this client whose filter matches gets it
// first, and as long as none does, it holds up the acknowledgements behind it. The
// same goes for a panic in the caller's goroutine.
// With Config.Resume the server keeps the subscription too, so that nothing is
// lost between two processes; Client.Unsubscribe ends it. Otherwise Handle
// unsubscribes when it ends, without waiting for the answer.
//
// If the server refuses one of the filters, Handle returns that *ServerError.
func (c *Client) Handle(ctx context.Context, o SubscribeOptions, f func(context.Context, *Message) error) error {
	s, err := c.subscribe(ctx, o, true)
	if s == nil {
		return err
	}
	h := &handler{sub: s, call: f}
	if len(c.hooks.handle) > 0 {
		h.call = func(ctx context.Context, m *Message) error {
			ctx, done := c.hooks.handling(ctx, m)
			err := f(ctx, m)
			done(err)
			return err
		}
	}
	defer h.end() // also when f panics
	if err == nil {
		if o.Concurrency > 1 {
			err = h.runLanes(ctx)
		} else {
			err = h.run(ctx)
		}
	}
	return h.wrap(err)
}

// handler is one call of Handle.
type handler struct {
	sub        *Subscription
	call       func(context.Context, *Message) error
	unfinished []item // taken and not acknowledged, in order
}

// handleBatch is how many messages a handler takes at a time: enough to make
// the lock cheap, few enough to leave the limits of the Subscription their
// meaning.
const handleBatch = 64

func (h *handler) run(ctx context.Context) error {
	batch := make([]item, handleBatch)
	for {
		n, err := h.sub.take(ctx, batch)
		if err != nil {
			return err
		}
		if err := h.runBatch(ctx, batch[:n]); err != nil {
			return err
		}
		clear(batch[:n])
	}
}

// runBatch calls the function for messages in a row. What was lent goes back as
// soon as the next message is from another read.
func (h *handler) runBatch(ctx context.Context, batch []item) error {
	done := 0
	begin := 0     // of those whose lease is not released
	defer func() { // also when the function panics
		if begin < done {
			batch[begin].lease.release(done - begin)
		}
		h.unfinished = batch[done:]
	}()
	for ; done < len(batch); done++ {
		if lease := batch[done].lease; lease != batch[begin].lease {
			batch[begin].lease.release(done - begin)
			begin = done
		}
		if err := h.over(ctx); err != nil {
			return err
		}
		if err := h.handle(ctx, batch[done].Message); err != nil {
			return err
		}
	}
	return nil
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
	m.receipt.refuse(refusalOf(code))
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

// refuse acknowledges a message with code.
func (r *receipt) refuse(code ReasonCode) {
	if r.due() {
		r.origin.client.do(func(engine *session.Client) { engine.Receiver.Ack(r.token, code) })
	}
}

// end takes the Subscription out and keeps what was not finished.
func (h *handler) end() {
	c, s := h.sub.client, h.sub
	c.router.abandon(s, h.unfinished, c.cfg.Resume)
	c.do(func(engine *session.Client) {
		c.receipts.hand(engine) // what was handled is acknowledged first
		engine.Subscriptions.Remove(s.interest, c.cfg.Resume)
	})
}

func (h *handler) wrap(err error) error {
	if _, wrapped := errors.AsType[*requestError](err); wrapped {
		return err
	}
	return &requestError{"handle", h.sub.options.Filters[0].Filter, true, err}
}
