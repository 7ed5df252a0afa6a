package mqtt

import (
	"context"
	"slices"

	"github.com/seed65a45251/mqtt/session"
)

// Subscribe subscribes to one filter and returns after the server's SUBACK.
// The Subscription already receives by then: what the server sends before the
// SUBACK is not lost. Without a connection it waits for one under ctx.
func (c *Client) Subscribe(ctx context.Context, filter string, qos QoS) (*Subscription, error) {
	return c.SubscribeWith(ctx, SubscribeOptions{Filters: []Filter{{Filter: filter, QoS: qos}}})
}

// SubscribeWith subscribes with all options. If the server grants some filters
// and refuses others, the Subscription is returned together with a *ServerError
// about the first refusal; Granted has them all.
func (c *Client) SubscribeWith(ctx context.Context, o SubscribeOptions) (*Subscription, error) {
	return c.subscribe(ctx, o, kindStream)
}

func (c *Client) subscribe(ctx context.Context, o SubscribeOptions, k kind) (*Subscription, error) {
	if o.OwnConnection {
		return c.subscribeOwn(ctx, o, k)
	}
	name := ""
	if len(o.Filters) > 0 {
		name = o.Filters[0].Filter
	}
	if err := o.validateAll(); err != nil {
		return nil, &requestError{"subscribe", name, false, err}
	}
	if ctx.Err() != nil {
		return nil, &requestError{"subscribe", name, false, context.Cause(ctx)}
	}
	o.Filters = slices.Clone(o.Filters)
	s := c.inbox.newSubscription(k, o)
	s.queue.early = true
	if err := c.inbox.add(s); err != nil {
		return nil, &requestError{"subscribe", name, false, err}
	}
	c.engine.do(func(engine *session.Client) { engine.Subscriptions.Add(s.interest) })
	select {
	case <-s.first.done:
	case <-ctx.Done():
		return nil, s.giveUp(context.Cause(ctx))
	}
	if s.first.err == nil {
		return s, nil
	}
	err := &requestError{"subscribe", name, s.wasSent(), s.first.err}
	if s.first.partly {
		return s, err
	}
	return nil, err
}

// wasSent says whether the server can know of the filters.
func (s *Subscription) wasSent() bool {
	s.inbox.engine.mu.Lock()
	defer s.inbox.engine.mu.Unlock()
	return s.interest.Sent()
}

// Route returns a Subscription for messages that the server sends without
// having been asked by this client: those of subscriptions that an earlier
// process left in a resumed session, or that the server makes on its own. It
// sends nothing, now or after a reconnect, and gets what arrives on the filter
// and no subscription identifier assigns to another Subscription.
func (c *Client) Route(filter string) (*Subscription, error) {
	o := SubscribeOptions{Filters: []Filter{{Filter: filter, QoS: ExactlyOnce}}}
	if err := o.validate(); err != nil {
		return nil, &requestError{"route", filter, false, err}
	}
	s := c.inbox.newSubscription(kindLocal, o)
	if err := c.inbox.add(s); err != nil {
		return nil, &requestError{"route", filter, false, err}
	}
	return s, nil
}

// Handle subscribes and calls f for every message like Subscription.Handle, until ctx
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
	s, err := c.subscribe(ctx, o, kindHandled)
	if s == nil {
		return err
	}
	defer s.endHandled() // also when f panics
	if err != nil {
		return err // some filters were refused
	}
	return s.Handle(ctx, f)
}

// giveUp ends a Subscription whose SUBACK was not waited for.
func (s *Subscription) giveUp(cause error) error {
	handled := s.kind == kindHandled
	s.neverBegan(cause, handled && s.inbox.resume)
	if handled {
		s.inbox.engine.do(s.leaveHandled)
	} else {
		s.unwant()
	}
	return &requestError{"subscribe", s.name(), s.wasSent(), cause}
}
