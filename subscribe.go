package mqtt

import (
	"context"
	"slices"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
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
	return c.subscribe(ctx, o, false)
}

func (c *Client) subscribe(ctx context.Context, o SubscribeOptions, handle bool) (*Subscription, error) {
	name := ""
	if len(o.Filters) > 0 {
		name = o.Filters[0].Filter
	}
	if err := o.validateFor(handle); err != nil {
		return nil, &requestError{"subscribe", name, false, err}
	}
	if ctx.Err() != nil {
		return nil, &requestError{"subscribe", name, false, context.Cause(ctx)}
	}
	o.Filters = slices.Clone(o.Filters)
	s := &Subscription{client: c, options: o, handled: handle}
	s.queue.init(&s.options, &c.counters.dropped)
	s.queue.early = o.Overflow == Block
	r := &subscribeCall{sub: s, first: true, done: make(chan struct{})}
	if err := c.router.add(s, r); err != nil {
		return nil, &requestError{"subscribe", name, false, err}
	}
	c.do(r.send)
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, c.giveUp(s, r, name, context.Cause(ctx))
	}
	if r.err == nil {
		return s, nil
	}
	c.mu.Lock()
	err := &requestError{"subscribe", name, r.sent, r.err}
	c.mu.Unlock()
	if r.partly {
		return s, err
	}
	return nil, err
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
	s := &Subscription{client: c, options: o, local: true}
	s.queue.init(&s.options, &c.counters.dropped)
	if err := c.router.add(s, nil); err != nil {
		return nil, &requestError{"route", filter, false, err}
	}
	return s, nil
}

// giveUp ends a Subscription whose SUBACK was not waited for.
func (c *Client) giveUp(s *Subscription, r *subscribeCall, name string, cause error) error {
	filters := s.neverBegan(cause, c.cfg.Resume)
	sent := false
	c.do(func(engine *session.Client) {
		sent = r.sent
		r.abandoned = true
		if sent && len(filters) > 0 {
			// The server may have subscribed us; nobody waits for the answer.
			c.addUnsubscribe(filters)
		}
	})
	return &requestError{"subscribe", name, sent, cause}
}

// resubscribe is called by the engine, under Client.mu, when a connection is
// established: before any message goes out, what the server does not know is
// subscribed again.
func (c *Client) resubscribe(ack *wire.Connack) {
	for _, r := range c.router.due(!ack.SessionPresent) {
		r.send(c.engine)
	}
	for _, u := range c.unsubscribes {
		if !ack.SessionPresent {
			// There is nothing left to end.
			c.refused = append(c.refused, refusal{u, nil})
			continue
		}
		u.send(c.engine)
	}
}
