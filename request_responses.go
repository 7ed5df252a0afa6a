package mqtt

import (
	"context"
	"sync"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// requests are the Requests of a client.
type requests struct {
	turns turns

	mu      sync.Mutex // a leaf: nothing is called while it is held
	current *responses // for new Requests; nil: the next one makes one
}

// responses are a response topic of the client, its Subscription, and the
// Requests that wait for what comes on it.
type responses struct {
	topic string
	info  string // the server's response information when it was made
	sub   *Subscription

	mu           sync.Mutex // a leaf as well
	correlations correlations
	waiting      map[string]*asked // by correlation data
	retired      bool              // another one is current: it ends with its last Request
	ended        error             // why sub ended
}

// asked is a Request that waits.
type asked struct {
	correlation string
	response    chan response
}

// responses returns the client's present response topic. The first Request
// makes it, and so does one that finds that the server wants another or that the
// Subscription has ended.
func (c *Client) responses(ctx context.Context) (*responses, error) {
	if r := c.currentResponses(); r != nil {
		return r, nil
	}
	// No Request has "" for its own response topic.
	if err := c.requests.turns.take(ctx, ""); err != nil {
		return nil, err
	}
	defer c.requests.turns.pass("")
	if r := c.currentResponses(); r != nil {
		return r, nil // somebody else made it meanwhile
	}
	return c.newResponses(ctx)
}

func (c *Client) currentResponses() *responses {
	info := c.ServerInfo().ResponseInformation
	c.requests.mu.Lock()
	r := c.requests.current
	c.requests.mu.Unlock()
	if r == nil || r.info != info || r.sub.Err() != nil {
		return nil
	}
	return r
}

func (c *Client) newResponses(ctx context.Context) (*responses, error) {
	info := c.ServerInfo()
	if info.Version < V5 {
		return nil, invalid("response topic", "MQTT %v has no response topics of its own; name one that the responder knows", info.Version)
	}
	r := &responses{
		topic:        newResponseTopic(c.cfg.ResponsePrefix, info.ResponseInformation),
		info:         info.ResponseInformation,
		correlations: newCorrelations(),
		waiting:      make(map[string]*asked),
	}
	if err := match.ValidateTopic(r.topic); err != nil {
		return nil, invalid("response information of the server", "%w", err)
	}
	var err error
	if r.sub, err = c.subscribeForResponses(ctx, r.topic); err != nil {
		return nil, err
	}
	if !c.pumps.start(func() { c.takeResponses(r) }) {
		return nil, context.Cause(c.ctx)
	}
	c.requests.mu.Lock()
	before := c.requests.current
	c.requests.current = r
	c.requests.mu.Unlock()
	if before != nil && before.retire() {
		c.forsake(before.sub)
	}
	return r, nil
}

// takeResponses hands responses to those who wait for them, until the
// Subscription ends.
func (c *Client) takeResponses(r *responses) {
	for {
		m, err := r.sub.Next(context.Background())
		if err != nil {
			r.end(err)
			return
		}
		if !r.hand(m) {
			c.engine.counters.stray.Add(1)
		}
	}
}

// beginAsking registers a Request with the present response topic.
func (c *Client) beginAsking(ctx context.Context) (*responses, *asked, error) {
	for {
		r, err := c.responses(ctx)
		if err != nil {
			return nil, nil, err
		}
		if a := r.ask(); a != nil {
			return r, a, nil
		}
	}
}

// ask registers a Request, or returns nil when r has come to its end.
func (r *responses) ask() *asked {
	a := &asked{response: make(chan response, 1)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retired || r.ended != nil {
		return nil
	}
	a.correlation = r.correlations.take()
	r.waiting[a.correlation] = a
	return a
}

// hand gives m to the Request that it answers, if there is one.
func (r *responses) hand(m *Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.waiting[string(m.CorrelationData)]
	if a == nil || m.Retain {
		return false
	}
	delete(r.waiting, a.correlation)
	a.response <- response{m: m} // has room for it: it got nothing before
	return true
}

// end fails all who wait.
func (r *responses) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = err
	for _, a := range r.waiting {
		a.response <- response{err: err}
	}
	clear(r.waiting)
}

// retire takes no more Requests and reports whether none is left.
func (r *responses) retire() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retired = true
	return len(r.waiting) == 0
}

// doneAsking forgets a Request, and r with the last of them if it is not the
// current one.
func (c *Client) doneAsking(r *responses, a *asked) {
	r.mu.Lock()
	delete(r.waiting, a.correlation)
	over := r.retired && len(r.waiting) == 0
	r.mu.Unlock()
	if over {
		c.forsake(r.sub)
	}
}

// forsake ends a Subscription without waiting for the server.
func (c *Client) forsake(s *Subscription) {
	c = s.client // it may have a connection of its own
	s.discard(ErrUnsubscribed)
	c.router.remove(s)
	c.unwant(s)
	c.retire(true)
}

// turns let one caller at a time through for each key.
type turns struct {
	mu   sync.Mutex
	keys map[string]*turn
}

type turn struct {
	free  chan struct{} // one token: nobody has it
	users int           // who have it or wait for it
}

// take waits for the turn of key, which pass has to give on.
func (t *turns) take(ctx context.Context, key string) error {
	t.mu.Lock()
	if t.keys == nil {
		t.keys = make(map[string]*turn)
	}
	mine := t.keys[key]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.keys[key] = mine
	}
	mine.users++
	t.mu.Unlock()
	select {
	case <-mine.free:
		return nil
	case <-ctx.Done():
		t.leave(key)
		return context.Cause(ctx)
	}
}

func (t *turns) pass(key string) {
	t.mu.Lock()
	mine := t.keys[key]
	t.mu.Unlock()
	mine.free <- struct{}{} // has room for it: the token was taken
	t.leave(key)
}

func (t *turns) leave(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := t.keys[key]
	if mine.users--; mine.users == 0 {
		delete(t.keys, key)
	}
}

// validateResponsePrefix sees that a level can follow.
func (c *Config) validateResponsePrefix() error {
	if c.ResponsePrefix == "" {
		return nil
	}
	if err := match.ValidateTopic(newResponseTopic(c.ResponsePrefix, "")); err != nil {
		return invalid("Config.ResponsePrefix", "%w", err)
	}
	return nil
}

// leaveNoTransients ends subscriptions that a later process has no use for, when
// the session stays. Called with engine.mu held, before DISCONNECT.
func (c *Client) leaveNoTransients() {
	for _, filter := range c.router.transients() {
		// Where it finds no room the session keeps the subscription, and the
		// responses that come for nobody are dropped.
		_ = c.engine.Request(&session.Request{Unsubscribe: &wire.Unsubscribe{Filters: []string{filter}}, Owner: nobody{}})
	}
}

// transients returns the filters of Subscriptions that mean nothing to a later process.
func (r *router) transients() (filters []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range inOrder(r.subs) {
		if s.transient {
			filters = append(filters, s.options.Filters[0].Filter)
		}
	}
	return filters
}

// nobody waits for an answer.
type nobody struct{}

func (nobody) answer(*session.Request) {}
