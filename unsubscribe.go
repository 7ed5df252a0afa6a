package mqtt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// release ends what s needs of the server.
func (c *Client) release(ctx context.Context, s *Subscription) error {
	filters := c.router.remove(s)
	c.router.drained(s)
	if len(filters) == 0 {
		return nil
	}
	_, err := c.unsubscribe(ctx, filters)
	return err
}

// Unsubscribe ends subscriptions that the server holds for this client and
// that belong to no Subscription: those of an earlier process in a resumed
// session. Filters that a Subscription has are left out; messages that wait for
// somebody to claim them are acknowledged and dropped where filters match them.
// It waits for the server's answer, and without a connection for the next one.
// When ctx ends first, the request goes on.
func (c *Client) Unsubscribe(ctx context.Context, filters ...string) error {
	_, err := c.UnsubscribeWith(ctx, UnsubscribeOptions{Filters: filters})
	return err
}

// UnsubscribeOptions describe an UNSUBSCRIBE in full.
type UnsubscribeOptions struct {
	// Filters are what to end, at least one.
	Filters []string
	// UserProperties go with UNSUBSCRIBE (5.0), with each if it takes several.
	UserProperties []UserProperty
}

// UnsubscribeWith is Unsubscribe with all options. It returns what the server said
// of each filter that was sent, in their order.
func (c *Client) UnsubscribeWith(ctx context.Context, o UnsubscribeOptions) ([]Ack, error) {
	filters := o.Filters
	if len(filters) == 0 {
		return nil, &requestError{"unsubscribe", "", false, invalid("filters", "none given")}
	}
	for _, f := range filters {
		if err := match.ValidateFilter(f); err != nil {
			return nil, &requestError{"unsubscribe", f, false, &argumentError{err: err}}
		}
	}
	if err := validateUserProperties(o.UserProperties); err != nil {
		return nil, &requestError{"unsubscribe", filters[0], false, err}
	}
	if ctx.Err() != nil {
		return nil, &requestError{"unsubscribe", filters[0], false, context.Cause(ctx)}
	}
	for _, m := range c.router.disclaim(filters) {
		m.Ack()
	}
	u, err := c.unsubscribe(ctx, slices.Clone(filters), slices.Clone(o.UserProperties)...)
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(u.acks), err
}

func (c *Client) unsubscribe(ctx context.Context, filters []string, properties ...UserProperty) (*unsubscribeCall, error) {
	var u *unsubscribeCall
	c.do(func(*session.Client) { u = c.addUnsubscribe(filters, properties...) })
	select {
	case <-u.done:
	case <-ctx.Done():
		// Sent or not, the request goes on without us.
		return u, &requestError{"unsubscribe", filters[0], true, context.Cause(ctx)}
	}
	if u.err == nil {
		return u, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return u, &requestError{"unsubscribe", filters[0], u.epoch > 0, u.err}
}

// unsubscribeCall is what UNSUBSCRIBE is to end, with as many packets as the
// limits of the connection ask for. It is sent on every connection that resumes
// the session until it is answered, whether somebody waits or not.
type unsubscribeCall struct {
	client     *Client
	properties []UserProperty

	// Guarded by Client.mu.
	filters []string
	epoch   uint64 // of the connection that it was last sent on
	open    int    // packets without an answer on that connection
	failure error  // the first
	acks    []Ack  // of the filters that were sent on that connection

	once sync.Once // conclude
	err  error     // set before done is closed
	done chan struct{}
}

// addUnsubscribe begins a call. Called with c.mu held.
func (c *Client) addUnsubscribe(filters []string, properties ...UserProperty) *unsubscribeCall {
	u := &unsubscribeCall{client: c, properties: properties, filters: filters, done: make(chan struct{})}
	c.unsubscribes = append(c.unsubscribes, u)
	u.send(c.engine)
	return u
}

// send is called with Client.mu held. Filters that have a Subscription again
// are left out.
func (u *unsubscribeCall) send(engine *session.Client) {
	c := u.client
	if u.epoch == c.epoch || !engine.Connected() {
		if c.ending != nil {
			c.refused = append(c.refused, refusal{u, c.ending})
		}
		return
	}
	u.filters = c.router.unrouted(u.filters)
	if len(u.filters) == 0 {
		c.refused = append(c.refused, refusal{u, nil})
		return
	}
	whole := &wire.Unsubscribe{Filters: u.filters}
	if engine.Version() == V5 {
		whole.UserProperties = u.properties
	}
	parts := engine.SplitUnsubscribe(whole, c.cfg.FiltersPerSubscribe)
	for _, p := range parts {
		if err := engine.Request(&session.Request{Unsubscribe: p, Owner: u}); err != nil {
			c.refused = append(c.refused, refusal{u, err})
			return
		}
		u.epoch = c.epoch
	}
	u.open, u.failure, u.acks = len(parts), nil, nil
}

func (u *unsubscribeCall) answer(q *session.Request) {
	undeliverable := errors.Is(q.Err, ErrUndeliverable)
	if q.Err != nil && !undeliverable {
		return // the next connection sends it again
	}
	c := u.client
	c.mu.Lock()
	u.open--
	for i := range q.Unsubscribe.Filters {
		ack := Ack{ReasonString: q.ReasonString, UserProperties: q.UserProperties}
		switch {
		case undeliverable:
			ack.ReasonCode = refusalCode(q.Err)
		case i < len(q.ReasonCodes): // before 5.0 there are none
			ack.ReasonCode = q.ReasonCodes[i]
		}
		u.acks = append(u.acks, ack)
	}
	if undeliverable && u.failure == nil {
		u.failure = fmt.Errorf("filter %.80q: %w", q.Unsubscribe.Filters[0], q.Err)
	}
	i := slices.IndexFunc(q.ReasonCodes, ReasonCode.Failed)
	if i >= 0 && u.failure == nil {
		u.failure = fmt.Errorf("filter %.80q: %w", q.Unsubscribe.Filters[i], &ServerError{
			Packet: wire.TypeUnsuback, ReasonCode: q.ReasonCodes[i], ReasonString: q.ReasonString, UserProperties: q.UserProperties})
	}
	over, failure := u.open == 0, u.failure
	c.mu.Unlock()
	if over {
		u.conclude(failure)
	}
}

// conclude ends the call; nil means that the filters are gone.
func (u *unsubscribeCall) conclude(err error) {
	u.once.Do(func() {
		u.client.mu.Lock()
		u.client.unsubscribes = slices.DeleteFunc(u.client.unsubscribes, func(o *unsubscribeCall) bool { return o == u })
		u.client.mu.Unlock()
		u.err = err
		close(u.done)
	})
}
