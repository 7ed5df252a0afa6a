package mqtt

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt/session"
)

// Client is a connection to a server that outlives network connections. It ends with
// Disconnect, Close, a permanent refusal, or the end of the reconnect policy. All
// methods are safe for concurrent use, also from inside loops over messages.
type Client struct {
	cfg   Config
	url   string // of the server
	named bool   // the client identifier is the program's choice

	ctx    context.Context // ends with the client; its cause says why
	cancel context.CancelCauseFunc
	life   errgroup.Group // of run, which connects, serves and connects again
	done   chan struct{}  // closed when life is over

	engine       engine
	keeper       *keeper      // nil: there is no Config.Store
	kept         keptFilters  // of an earlier process; guarded by engine.mu
	conn         *conn        // the established connection; nil: there is none; guarded by engine.mu
	status       status       // likewise
	counters     counters     // likewise, except what is atomic
	lossReported uint64       // of Sender.Lost, what Flush has told; likewise
	unsent       int          // published messages that were unfinished at the end; likewise
	logger       *slog.Logger // names the client
	tolerance    tolerance

	connector    *connector
	reconnectNow reconnectNow // guarded by engine.mu

	holds       holds
	window      window
	hooks       *hooks // nil: there are none
	deliveries  deliveries
	router      router
	inbox       inbox
	undelivered undelivered
	watchers    watchers
	requests    requests
	own         ownClients[*Client]
	reauth      reauthentication

	// Of a client behind a Subscription with a connection of its own.
	parent *Client                      // the client that it serves; nil: it serves the program itself
	served atomic.Pointer[Subscription] // nil: none yet
}

func newClient(rawServer string, cfg Config) (*Client, error) {
	servers, err := cfg.parseServers(rawServer)
	if err != nil {
		return nil, err
	}
	named := cfg.ClientID != "" && cfg.ClientID != Empty
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, url: rawServer, named: named, done: make(chan struct{})}
	c.connector, err = newConnector(&c.cfg, servers, c)
	if err != nil {
		return nil, err
	}
	if cfg.Authenticator != nil {
		c.reauth.lock = make(chan struct{}, 1)
	}
	c.logger = cfg.Logger.With("client_id", cfg.ClientID)
	if err := c.openKeeper(); err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.engine.Client = session.NewClient(session.ClientSettings{
		Journal:             c.keeper.sessionJournal(),
		Inflight:            cfg.Inflight,
		InflightBytes:       cfg.QueueBytes,
		TopicAliases:        cfg.SendTopicAliases,
		PingTimeout:         cfg.PingTimeout,
		HasSession:          cfg.Resume && c.keeper.adopts(),
		MaximumQoS:          cfg.MaximumQoS,
		LowerQoS:            cfg.LowerQoS,
		NoSubscriptionIDs:   cfg.NoSubscriptionIDs,
		FiltersPerSubscribe: cfg.FiltersPerSubscribe,
		FailLost:            cfg.FailOnSessionLoss,
		Retry:               cfg.retry(),
		RetryFor:            cfg.QueueAge,
		Rate:                session.Rate(cfg.PublishRate),
		AlwaysSubscribe:     cfg.AlwaysSubscribe,
		UnorderedAnswers:    cfg.AcknowledgeOutOfOrder,
		Tolerate:            c.tolerance.note,
		Reauthentication:    c.reauth.stepped,
	})
	c.tolerance.logger = c.logger
	c.engine.queue.limits = cfg.queueLimits()
	c.undelivered.call, c.undelivered.reports = cfg.Undelivered, reports{engine: &c.engine, atOnce: 1}
	if c.hooks = newHooks(cfg.Hooks, cfg.ClientID); c.hooks != nil {
		c.hooks.reports = reports{engine: &c.engine, atOnce: 16}
	}
	c.openInbox()
	c.beginKeeper()
	return c, nil
}

// openInbox gives the receiving side what it needs of c.
func (c *Client) openInbox() {
	c.window.mayWait.Store(int64(c.cfg.ReceiveMaximum))
	c.router.init(c.cfg.FilterPrefixes, c.cfg.Resume)
	b := &c.inbox
	b.engine, b.counters, b.router, b.holds, b.window = &c.engine, &c.counters, &c.router, &c.holds, &c.window
	b.handlers.progress = &b.progress
	b.inboxSettings = inboxSettings{
		logger:         c.logger,
		resume:         c.cfg.Resume,
		outOfOrder:     c.cfg.AcknowledgeOutOfOrder,
		receiveMaximum: int(c.cfg.ReceiveMaximum),
		consuming:      c.hooks.consuming(),
		report: func(s *Subscription, err error, age time.Duration) {
			c.watchers.send(Event{State: c.State(), Err: err, Subscription: s, Age: age})
		},
		publisher:         c,
		connected:         func() bool { return c.State() == Connected },
		refetch:           c.renew,
		subscriptionEnded: func(bool) {},
		unclaimedExpired:  c.dropFilters,
	}
	b.unclaimed.init(b.holds, c.cfg.HoldUnclaimed, c.cfg.HoldUnclaimedFor)
	c.holds.init(b.answer, c.cfg.StallAfter, b.lookForStall)
}

// end completes whatever still waits, with err.
func (c *Client) end(err error) {
	var n notices
	c.engine.mu.Lock()
	err = c.engine.endLocked(err)
	c.unsent = c.unsentLocked()
	c.engine.mu.Unlock()
	c.endKeeper()
	c.engine.mu.Lock()
	c.status.state, c.engine.ended = Closed, err
	c.engine.flushes.fail(err)
	c.keeper.failLocked(err)
	c.engine.Sender.FailKept(err, &keptError{err})
	c.engine.Subscriptions.Fail(err)
	c.engine.collectLocked(&n)
	c.engine.stopAlarmLocked()
	c.engine.mu.Unlock()
	c.cancel(err) // before anybody is told
	n.send()
	c.inbox.close(err)
	c.own.endAll(err)()
	c.inbox.subscriptionEnded(true)
	c.watchers.close(Event{State: Closed, Time: time.Now(), Err: err})
	c.cfg.Logger.Info("mqtt client ended", "client_id", c.cfg.ClientID, "cause", err)
	enough := time.Now().Add(leaveTimeout)
	c.undelivered.wait(enough)
	if c.hooks != nil {
		c.hooks.reports.wait(enough)
	}
}

// Done returns a channel that is closed when the client has ended and all its
// goroutines have returned.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the client has ended: ErrClosed after Close and Disconnect, nil
// before the end.
func (c *Client) Err() error {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	return c.engine.ended
}

// String names the client without the secrets of its configuration.
func (c *Client) String() string {
	return fmt.Sprintf("mqtt.Client{ID: %q, Server: %q}", c.cfg.ClientID, c.connector.servers.own[0].Address)
}

// GoString is String: printing the fields would show the password.
func (c *Client) GoString() string { return c.String() }
