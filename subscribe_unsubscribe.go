package mqtt

import (
	"context"
	"slices"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
)

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
	for _, m := range c.inbox.disclaim(filters) {
		m.Ack()
	}
	filters = slices.Clone(filters)
	u, err := c.engine.leaveFilters(ctx, filters[0], func(engine *session.Client) *session.Leave {
		return engine.Subscriptions.Unsubscribe(filters, slices.Clone(o.UserProperties))
	})
	if u == nil {
		return nil, err
	}
	return u.acks, err
}
