package mqtt

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Unsubscribe ends subscriptions that the server holds for this client and that belong
// to no Subscription, such as those of an earlier process in a resumed session. Filters
// that a Subscription has are left out. Messages that match filters and wait to be
// claimed are acknowledged and dropped. Unsubscribe waits for the server's answer, and
// without a connection for the next one. The request stays under way when ctx ends.
func (c *Client) Unsubscribe(ctx context.Context, filters ...string) error {
	_, err := c.UnsubscribeWith(ctx, UnsubscribeOptions{Filters: filters})
	return err
}

// UnsubscribeOptions describe an UNSUBSCRIBE in full.
type UnsubscribeOptions struct {
	// Filters are the filters to unsubscribe from, at least one.
	Filters []string
	// UserProperties go with UNSUBSCRIBE (5.0), with each packet if there are several.
	UserProperties []UserProperty
}

// UnsubscribeWith is Unsubscribe with all options. It returns the server's answer for
// each filter that was sent, in their order.
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
	if c.inbox.unclaimed.hasSpaceAgain() { // and what had no room may be among them
		c.inbox.refetch()
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

// leaving waits for the end of filters on the server.
type leaving struct {
	acks []Ack // set before done is closed, as is err
	err  error
	done chan struct{}
}

// leaveFilters makes the server end what begin asks it to end, and waits for the
// answer. When ctx ends first, the request goes on, sent or not. The result is nil if
// there was nothing to end, or no answer.
func (e *engine) leaveFilters(ctx context.Context, name string, begin func(*session.Client) *session.Leave) (*leaving, error) {
	u := &leaving{done: make(chan struct{})}
	var leave *session.Leave
	var ended error
	e.do(func(engine *session.Client) {
		if leave = begin(engine); leave != nil {
			leave.Owner = u
			if ended = e.ending; ended != nil && !leave.Over() {
				engine.Subscriptions.Fail(ended)
			}
		}
	})
	if leave == nil {
		return nil, nil
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		return nil, &requestError{"unsubscribe", name, true, context.Cause(ctx)}
	}
	if u.err == nil {
		return u, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return u, &requestError{"unsubscribe", name, leave.Sent(), u.err}
}

// conclude takes the server's answer.
func (u *leaving) conclude(l *session.Leave) {
	for i, f := range l.Answers {
		u.acks = append(u.acks, Ack{f.ReasonCode, f.ReasonString, f.UserProperties})
		if f.ReasonCode.Failed() && u.err == nil {
			u.err = fmt.Errorf("filter %.80q: %w", l.Filters[i], refusal(wire.TypeUnsuback, f))
		}
	}
	if l.Err != nil {
		u.err = l.Err
	}
	close(u.done)
}

// refusal says how the server has refused a filter, in a packet of type t or by ending
// the connection.
func refusal(t wire.PacketType, f session.FilterAnswer) error {
	if f.Err != nil {
		return f.Err
	}
	return &ServerError{Packet: t, ReasonCode: f.ReasonCode, ReasonString: f.ReasonString, UserProperties: f.UserProperties}
}
