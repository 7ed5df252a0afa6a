package mqtt

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// subscribeOwn is subscribe on a connection of its own.
func (c *Client) subscribeOwn(ctx context.Context, o SubscribeOptions, k kind) (*Subscription, error) {
	name := ""
	if len(o.Filters) > 0 {
		name = o.Filters[0].Filter
	}
	if err := o.validateAll(); err != nil {
		return nil, &requestError{"subscribe", name, false, err}
	}
	own, err := c.openOwn(ctx, o.Filters)
	if err != nil {
		return nil, &requestError{"subscribe", name, false, inner{err}}
	}
	o.OwnConnection = false
	s, err := own.subscribe(ctx, o, k)
	if s == nil {
		own.retire(true)
		return nil, err
	}
	own.served.Store(s)
	return s, err
}

// openOwn returns a connected client for filters: the one that a handler of these has
// left, or a new one.
func (c *Client) openOwn(ctx context.Context, filters []Filter) (*Client, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })()
	id, parked, err := c.own.reserve(ctx, c.ownID(filters), c.mayBeOwnID)
	if err != nil || parked != nil {
		return parked, err
	}
	cfg := c.cfg
	cfg.ClientID, cfg.Will, cfg.RetryFirst = id, nil, true
	own, err := newClient(c.url, cfg)
	if err == nil {
		own.parent = c
		own.watchers.relay = own.relay
		own.inbox.subscriptionEnded = own.retire
		_, err = own.begin(ctx)
	}
	ended := c.own.connected(id, own, func(err error) { own.closeFor(err) }, err)
	if err == nil && ended != nil {
		own.Close()
		err = ended
	}
	return own, err
}

// mayBeOwnID says why a client may not have the identifier id.
func (c *Client) mayBeOwnID(id string) error {
	if c.cfg.Version == V31 && len(id) > 23 {
		return invalid("OwnConnection", "its client identifier %q has more than 23 characters; MQTT 3.1 allows 1 to 23", id)
	}
	return nil
}

// ownID returns the client identifier for filters: the same in every process, so that
// a session that stays is found again. Nobody looks for that of a client without a
// name.
func (c *Client) ownID(filters []Filter) string {
	if !c.named {
		return newClientID()
	}
	var names []string
	for _, f := range filters {
		names = append(names, f.Filter)
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return c.cfg.ClientID + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))
}

// relay tells the watchers of the parent what concerns the Subscription.
func (c *Client) relay(e Event) {
	s := c.served.Load()
	ended := e.State == Closed && errors.Is(e.Err, ErrClosed) // with the Subscription or the parent
	if s == nil || ended || e.Err == nil && e.Session != SessionLost && !e.Unproven || c.parent.own.haveEnded() {
		return
	}
	if e.Err != nil {
		e.Err = fmt.Errorf("connection of subscription %.80q: %w", s.name(), e.Err)
	}
	c.parent.watchers.send(Event{State: c.parent.State(), Err: e.Err, Session: e.Session,
		Unproven: e.Unproven, Subscription: s, Age: e.Age})
}

// retire ends the client of a Subscription that has ended, without waiting. With
// forget the server forgets the session. A client of whose last handler messages are
// left stays for the next one of the same filters.
func (c *Client) retire(forget bool) {
	park := c.inbox.unclaimed.any() && !forget
	c.parent.own.retire(c.cfg.ClientID, c, park, func() Stats { return c.goOut(forget) })
}

// goOut ends the client of a Subscription that has ended, and returns what it has
// counted.
func (c *Client) goOut(forget bool) Stats {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	o := DisconnectOptions{}
	if forget {
		o.SessionExpiry = new(time.Duration)
	}
	_ = c.DisconnectWith(ctx, o)
	return c.Stats()
}

// disconnectOwn is Disconnect for the clients behind Subscriptions.
func (c *Client) disconnectOwn(ctx context.Context, o DisconnectOptions) (wait func() error) {
	if o.ReasonCode == DisconnectWithWill {
		o.ReasonCode = Success // they have none
	}
	var g errgroup.Group
	for _, own := range c.own.all(ErrClosed) {
		g.Go(func() error { return own.client.DisconnectWith(ctx, o) })
	}
	return g.Wait
}

// ownStats returns what the clients behind Subscriptions have counted.
func (c *Client) ownStats() Stats {
	clients := c.own.all(nil)
	c.own.mu.Lock()
	sum := c.own.past
	c.own.mu.Unlock()
	for _, own := range clients {
		sum.add(own.client.Stats())
	}
	return sum
}
