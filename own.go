package mqtt

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// ownConnections are the clients behind Subscriptions that have a connection of their
// own. Each serves one Subscription, and ends with it or with this client.
type ownConnections struct {
	mu      sync.Mutex          // never held while a client is called
	clients map[string]ownEntry // by client identifier
	ended   error               // why there will be no further ones
	past    Stats               // of those that have ended
	closing sync.WaitGroup      // those that end with their Subscription
}

// ownEntry is a client identifier that is in use.
type ownEntry struct {
	client *Client       // nil: it is not connected yet, or it is about to go
	gone   chan struct{} // closed when it has gone; nil: it stays
}

// family is what a client knows of the one that it serves.
type family struct {
	parent *Client                      // nil: it serves the program itself
	sub    atomic.Pointer[Subscription] // that it is for; nil: none yet
	parked bool                         // what its last handler has not finished waits for the next; guarded by parent.own.mu
}

// subscribeOwn is subscribe on a connection of its own.
func (c *Client) subscribeOwn(ctx context.Context, o SubscribeOptions, handle bool) (*Subscription, error) {
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
	s, err := own.subscribe(ctx, o, handle)
	if s == nil {
		own.retire(true)
		return nil, err
	}
	own.family.sub.Store(s)
	return s, err
}

// openOwn returns a connected client for filters: the one that a handler of these has
// left, or a new one.
func (c *Client) openOwn(ctx context.Context, filters []Filter) (*Client, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })()
	id, parked, err := c.reserveOwn(ctx, filters)
	if err != nil || parked != nil {
		return parked, err
	}
	cfg := c.cfg
	cfg.ClientID, cfg.Will, cfg.RetryFirst = id, nil, true
	own, err := newClient(c.url, cfg)
	if err == nil {
		own.family.parent = c
		own.watchers.relay = own.relay
		_, err = own.begin(ctx)
	}
	c.own.mu.Lock()
	ended := c.own.ended
	if err != nil || ended != nil {
		delete(c.own.clients, id)
	} else {
		c.own.clients[id] = ownEntry{client: own}
	}
	c.own.mu.Unlock()
	if err == nil && ended != nil {
		own.Close()
		err = ended
	}
	return own, err
}

// reserveOwn returns the client that is parked for filters, or the identifier of a new
// one. It waits for one with that identifier to go that is about to.
func (c *Client) reserveOwn(ctx context.Context, filters []Filter) (id string, parked *Client, err error) {
	base := c.ownID(filters)
	id = base
	for n := 2; ; {
		c.own.mu.Lock()
		e, taken := c.own.clients[id]
		switch {
		case c.own.ended != nil:
			err = c.own.ended
		case taken && e.client != nil && e.client.family.parked:
			parked = e.client
			parked.family.parked = false
		case !taken && c.cfg.Version == V31 && len(id) > 23:
			err = invalid("OwnConnection", "its client identifier %q has more than 23 characters; MQTT 3.1 allows 1 to 23", id)
		case !taken:
			c.own.reserve(id)
		}
		c.own.mu.Unlock()
		switch {
		case err != nil || parked != nil || !taken:
			return id, parked, err
		case e.gone == nil:
			id = fmt.Sprintf("%s-%d", base, n)
			n++
		default:
			select {
			case <-e.gone:
			case <-ctx.Done():
				return "", nil, context.Cause(ctx)
			}
		}
	}
}

// reserve is called with oengine.mu held.
func (oc *ownConnections) reserve(id string) {
	if oc.clients == nil {
		oc.clients = make(map[string]ownEntry)
	}
	oc.clients[id] = ownEntry{}
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
	s := c.family.sub.Load()
	ended := e.State == Closed && errors.Is(e.Err, ErrClosed) // with the Subscription or the parent
	if s == nil || ended || e.Err == nil && e.Session != SessionLost && !e.Unproven || c.family.parent.own.over() {
		return
	}
	if e.Err != nil {
		e.Err = fmt.Errorf("connection of subscription %.80q: %w", s.options.Filters[0].Filter, e.Err)
	}
	c.family.parent.watchers.send(Event{State: c.family.parent.State(), Err: e.Err, Session: e.Session,
		Unproven: e.Unproven, Subscription: s, Age: e.Age})
}

// retire ends the client of a Subscription that has ended, without waiting. With
// forget the server forgets the session. A client of whose last handler messages are
// left stays for the next one of the same filters. On any other client it does
// nothing.
func (c *Client) retire(forget bool) {
	if c.family.parent == nil {
		return
	}
	c.router.mu.Lock()
	unfinished := len(c.router.unclaimed.held) > 0
	c.router.mu.Unlock()
	oc := &c.family.parent.own
	oc.mu.Lock()
	defer oc.mu.Unlock()
	if oc.ended != nil || oc.clients[c.cfg.ClientID].client != c {
		return
	}
	if unfinished && !forget {
		c.family.parked = true
		return
	}
	oc.clients[c.cfg.ClientID] = ownEntry{gone: make(chan struct{})}
	oc.closing.Go(func() { c.goOut(forget) })
}

// goOut ends the client of a Subscription that has ended.
func (c *Client) goOut(forget bool) {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	o := DisconnectOptions{}
	if forget {
		o.SessionExpiry = new(time.Duration)
	}
	_ = c.DisconnectWith(ctx, o)
	stats := c.Stats()
	oc := &c.family.parent.own
	oc.mu.Lock()
	defer oc.mu.Unlock()
	oc.past.add(stats)
	close(oc.clients[c.cfg.ClientID].gone)
	delete(oc.clients, c.cfg.ClientID)
}

// over says that there will be no further ones.
func (oc *ownConnections) over() bool {
	oc.mu.Lock()
	defer oc.mu.Unlock()
	return oc.ended != nil
}

// all returns the clients that live. With err there will be no further ones.
func (oc *ownConnections) all(err error) (clients []*Client) {
	oc.mu.Lock()
	defer oc.mu.Unlock()
	if oc.ended == nil {
		oc.ended = err
	}
	for _, e := range oc.clients {
		if e.client != nil {
			clients = append(clients, e.client)
		}
	}
	return clients
}

// endOwn ends the clients behind Subscriptions because of err. The result waits for
// them.
func (c *Client) endOwn(err error) (wait func()) {
	var g errgroup.Group
	for _, own := range c.own.all(err) {
		g.Go(func() error {
			own.closeFor(err)
			return nil
		})
	}
	return func() {
		_ = g.Wait()
		c.own.closing.Wait()
	}
}

// disconnectOwn is Disconnect for the clients behind Subscriptions.
func (c *Client) disconnectOwn(ctx context.Context, o DisconnectOptions) (wait func() error) {
	if o.ReasonCode == DisconnectWithWill {
		o.ReasonCode = Success // they have none
	}
	var g errgroup.Group
	for _, own := range c.own.all(ErrClosed) {
		g.Go(func() error { return own.DisconnectWith(ctx, o) })
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
		sum.add(own.Stats())
	}
	return sum
}

// add adds what another client has counted.
func (s *Stats) add(o Stats) {
	s.Connections += o.Connections
	s.Lost += o.Lost
	s.BytesSent += o.BytesSent
	s.BytesReceived += o.BytesReceived
	s.Received += o.Received
	s.Dropped += o.Dropped
	s.Unclaimed += o.Unclaimed
	s.Unfinished += o.Unfinished
	s.Held.add(o.Held)
	s.HeldUnclaimed.add(o.HeldUnclaimed)
}
