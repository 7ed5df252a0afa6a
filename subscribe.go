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
	return c.subscribe(ctx, o, false)
}

func (c *Client) subscribe(ctx context.Context, o SubscribeOptions, handle bool) (*Subscription, error) {
	if o.OwnConnection {
		return c.subscribeOwn(ctx, o, handle)
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
	s := c.newSubscription(o)
	s.handled = handle
	s.queue.early = true
	if err := c.router.add(s); err != nil {
		return nil, &requestError{"subscribe", name, false, err}
	}
	c.engine.do(func(engine *session.Client) { engine.Subscriptions.Add(s.interest) })
	select {
	case <-s.first.done:
	case <-ctx.Done():
		return nil, c.giveUp(s, name, context.Cause(ctx))
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
	s.client.engine.mu.Lock()
	defer s.client.engine.mu.Unlock()
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
	s := c.newSubscription(o)
	s.local = true
	if err := c.router.add(s); err != nil {
		return nil, &requestError{"route", filter, false, err}
	}
	return s, nil
}

// giveUp ends a Subscription whose SUBACK was not waited for.
func (c *Client) giveUp(s *Subscription, name string, cause error) error {
	s.neverBegan(cause, s.handled && c.cfg.Resume)
	if s.handled {
		c.engine.do(s.endHandled)
	} else {
		c.unwant(s)
	}
	return &requestError{"subscribe", name, s.wasSent(), cause}
}

// unwant ends what s wants of the server, and does not wait for its answer.
func (c *Client) unwant(s *Subscription) {
	if s.interest != nil {
		c.engine.do(func(engine *session.Client) { engine.Subscriptions.Remove(s.interest, false) })
	}
}
