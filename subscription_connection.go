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
	"time"

	"golang.org/x/sync/errgroup"
)

// subscribeOwn is subscribe on a connection of its own.
func (c *Client) subscribeOwn(ctx context.Context, o SubscribeOptions, k kind) (*Subscription, error) {
	name := ""
	if len(o.Filters) > 0 {
		name = o.Filters[0].Filter
	}
	if err := o.validateAll(c.inbox.router.prefixes); err != nil {
		return nil, &requestError{"subscribe", name, false, err}
	}
	own, err := c.openOwn(ctx, o.Filters)
	if err != nil {
		return nil, &requestError{"subscribe", name, false, inner{err}}
	}
	subscribed := o.Subscribed
	o.OwnConnection, o.Subscribed = false, nil
	s, err := own.subscribe(ctx, o, k)
	if s == nil {
		own.endOrPark(true)
		return nil, err
	}
	own.served.Store(s)
	if err == nil {
		s.tellSubscribed(subscribed)
	}
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
	cfg.ClientID, cfg.Will, cfg.Store, cfg.own = id, nil, nil, true
	own, err := newClient(c.url, cfg)
	if err == nil {
		own.parent = c
		own.watchers.relay = own.relay
		own.inbox.subscriptionEnded = own.endOrPark
		own.inbox.publisher = c
		_, err = own.connect(ctx, true)
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

// endOrPark ends the client of a Subscription that has ended, without waiting. With
// forget the server forgets the session. A client of whose last handler messages are
// left stays for the next one of the same filters.
func (c *Client) endOrPark(forget bool) {
	park := c.inbox.unclaimed.any() && !forget
	c.parent.own.endOrPark(c.cfg.ClientID, c, park, func() Stats { return c.endNow(forget) })
}

// endNow ends the client of a Subscription that has ended, and returns what it has
// counted.
func (c *Client) endNow(forget bool) Stats {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	o := DisconnectOptions{}
	if forget {
		o.SessionExpiry = new(time.Duration)
	}
	_ = c.DisconnectWith(ctx, o)
	return c.Stats()
}

// disconnectOwn is Disconnect for the clients behind Subscriptions. wait returns their
// errors.
func (c *Client) disconnectOwn(ctx context.Context, o DisconnectOptions) (wait func() []error) {
	if o.ReasonCode == DisconnectWithWill {
		o.ReasonCode = Success // they have none
	}
	clients := c.own.all(ErrClosed)
	errs := make([]error, len(clients))
	var g sync.WaitGroup
	for i, own := range clients {
		g.Go(func() { errs[i] = own.client.DisconnectWith(ctx, o) })
	}
	return func() []error {
		g.Wait()
		return errs
	}
}

// ownStats returns what the clients behind Subscriptions have counted.
func (c *Client) ownStats() Stats {
	clients := c.own.all(nil)
	var sum Stats
	c.own.mu.Lock()
	if c.own.past != nil {
		sum = *c.own.past
	}
	c.own.mu.Unlock()
	for _, own := range clients {
		sum.add(own.client.Stats())
	}
	return sum
}

// ownClients are the clients behind Subscriptions that have a connection of their
// own, by client identifier. Each serves one Subscription, and ends with it or with
// the client that has this list. C is the type of a client.
type ownClients[C comparable] struct {
	mu      sync.Mutex // never held while a client is called
	clients map[string]ownClient[C]
	ended   error          // why there will be no further ones
	past    *Stats         // of those that have ended; nil: none has
	closing sync.WaitGroup // those that end with their Subscription
}

// ownClient is a client identifier that is in use.
type ownClient[C comparable] struct {
	client C             // zero: it is not connected yet, or it is about to go
	end    func(error)   // ends client
	parked bool          // what its last handler has not finished waits for the next
	gone   chan struct{} // closed when it has gone; nil: it stays
}

// reserve returns the client that is parked with the identifier base, or the identifier
// of a new one: base, or base with a number. It waits for one with that identifier to
// go that is about to. allowed says why a new one may not have an identifier.
func (oc *ownClients[C]) reserve(ctx context.Context, base string, allowed func(id string) error) (id string, parked C, err error) {
	var none C
	id = base
	for n := 2; ; {
		oc.mu.Lock()
		e, taken := oc.clients[id]
		switch {
		case oc.ended != nil:
			err = oc.ended
		case e.parked:
			parked = e.client
			e.parked = false
			oc.clients[id] = e
		case !taken:
			if err = allowed(id); err == nil {
				oc.putLocked(id, ownClient[C]{})
			}
		}
		oc.mu.Unlock()
		switch {
		case err != nil || parked != none || !taken:
			return id, parked, err
		case e.gone == nil:
			id = fmt.Sprintf("%s-%d", base, n)
			n++
		default:
			select {
			case <-e.gone:
			case <-ctx.Done():
				return "", none, context.Cause(ctx)
			}
		}
	}
}

func (oc *ownClients[C]) putLocked(id string, e ownClient[C]) {
	if oc.clients == nil {
		oc.clients = make(map[string]ownClient[C])
	}
	oc.clients[id] = e
}

// connected puts a client where reserve has kept its identifier, or gives that up
// because of err. It returns why the client has to end at once.
func (oc *ownClients[C]) connected(id string, client C, end func(error), err error) (ended error) {
	oc.mu.Lock()
	defer oc.mu.Unlock()
	if err != nil || oc.ended != nil {
		delete(oc.clients, id)
	} else {
		oc.putLocked(id, ownClient[C]{client: client, end: end})
	}
	return oc.ended
}

// endOrPark calls endNow, which ends client for good, on a goroutine of its own. With park
// the client is parked instead. If it is not in the list any more nothing happens.
func (oc *ownClients[C]) endOrPark(id string, client C, park bool, endNow func() Stats) {
	oc.mu.Lock()
	defer oc.mu.Unlock()
	e := oc.clients[id]
	if oc.ended != nil || e.client != client {
		return
	}
	if park {
		e.parked = true
		oc.clients[id] = e
		return
	}
	gone := make(chan struct{})
	oc.clients[id] = ownClient[C]{gone: gone}
	oc.closing.Go(func() {
		stats := endNow()
		oc.mu.Lock()
		defer oc.mu.Unlock()
		if oc.past == nil {
			oc.past = new(Stats)
		}
		oc.past.add(stats)
		close(gone)
		delete(oc.clients, id)
	})
}

// haveEnded says that there will be no further ones.
func (oc *ownClients[C]) haveEnded() bool {
	oc.mu.Lock()
	defer oc.mu.Unlock()
	return oc.ended != nil
}

// all returns the clients that live. With err there will be no further ones.
func (oc *ownClients[C]) all(err error) (clients []ownClient[C]) {
	oc.mu.Lock()
	defer oc.mu.Unlock()
	if oc.ended == nil {
		oc.ended = err
	}
	var none C
	for _, e := range oc.clients {
		if e.client != none {
			clients = append(clients, e)
		}
	}
	return clients
}

// endAll ends the clients because of err. The result waits for them.
func (oc *ownClients[C]) endAll(err error) (wait func()) {
	var g errgroup.Group
	for _, e := range oc.all(err) {
		g.Go(func() error {
			e.end(err)
			return nil
		})
	}
	return func() {
		_ = g.Wait()
		oc.closing.Wait()
	}
}
