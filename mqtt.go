package mqtt

import (
	"context"
	"fmt"
	"golang.org/x/sync/errgroup"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// Client is a connection to a server that heals itself: it outlives network
// connections until Disconnect, Close, a permanent refusal, or the end of the
// reconnect policy. All methods are safe for concurrent use, also from inside
// loops over messages.
type Client struct {
	cfg   Config
	url   string // of the server
	named bool   // the client identifier is the program's choice

	ctx    context.Context // ends with the client; its cause says why
	cancel context.CancelCauseFunc
	life   errgroup.Group // of run, which connects, serves and connects again
	done   chan struct{}  // closed when life is over

	engine       engine
	connector    *connector
	reconnectNow reconnectNow // guarded by engine.mu

	holds      holds
	window     window          // guarded by mu
	mayWait    atomic.Int64    // QoS 1 and 2 messages in each queue
	released   []chan struct{} // who waits until nothing is owed to the server; likewise
	handlers   handlers
	hooks      hooks
	deliveries deliveries
	router     router
	watchers   watchers
	pumps      pumps
	requests   requests
	own        ownConnections
	family     family
	reauth     reauthentication // guarded by mu
}

// Connect connects to server and returns when the server has accepted the
// connection. The URL of a server is one of
//
//	mqtt://host:1883             TCP; also tcp://
//	mqtts://host:8883            TLS; also tls:// and ssl://
//	ws://host:80/mqtt?query      WebSocket
//	wss://host:443/mqtt?query    WebSocket over TLS
//	unix:///path                 Unix socket; also mqtt+unix://
//	mqtts+unix:///path           TLS over it, with the ServerName of Config.TLS
//	ws+unix:///path:/mqtt        WebSocket over it; what follows the colon is the path of the request
//	wss+unix:///path:/mqtt       both
//	mqtt+srv://domain            the servers that DNS names under _mqtt._tcp.domain
//	mqtts+srv://domain           those under _secure-mqtt._tcp.domain, with TLS
//
// where ports, the path /mqtt and queries may be left out. User and password
// before the host are those of MQTT. With mqtts+srv the certificate has to be for
// the domain: a target comes from DNS, where anyone could have put it. Those who
// trust their name servers set the ServerName of Config.TLS.
//
// ctx bounds only this first connection; the client then lives
// until Disconnect or Close and reconnects by itself.
//
// The first failure is returned unless cfg.RetryFirst is set. A refusal by the
// server is a *ServerError.
func Connect(ctx context.Context, server string, cfg Config) (*Client, error) {
	c, err := newClient(server, cfg)
	if err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	return c.begin(ctx)
}

// begin makes the first connection under ctx.
func (c *Client) begin(ctx context.Context) (*Client, error) {
	k, err := c.connector.first(ctx)
	if err != nil {
		c.end(err)
		close(c.done)
		return nil, c.connector.describe(err)
	}
	c.life.Go(func() error { return c.run(k) })
	go func() { // waits for the client's life, so that Done closes though nobody asks
		defer close(c.done)
		c.end(c.life.Wait())
	}()
	return c, nil
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
	if c.hooks, err = sortHooks(cfg.Hooks); err != nil {
		return nil, err
	}
	c.reconnectNow.token = make(chan struct{}, 1)
	c.connector, err = newConnector(&c.cfg, servers, connectCalls{
		handshake: c.shakeHands,
		tell:      c.setState,
		ending:    c.engine.endingCause,
		atOnce:    c.reconnectNow.token,
		tolerate:  c.tolerate,
	})
	if err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.engine.Client = session.NewClient(session.ClientSettings{
		Inflight:            cfg.Inflight,
		InflightBytes:       cfg.QueueBytes,
		TopicAliases:        cfg.SendTopicAliases,
		PingTimeout:         cfg.PingTimeout,
		HasSession:          cfg.Resume,
		MaximumQoS:          cfg.MaximumQoS,
		NoSubscriptionIDs:   cfg.NoSubscriptionIDs,
		FiltersPerSubscribe: cfg.FiltersPerSubscribe,
		FailLost:            cfg.FailOnSessionLoss,
		AlwaysSubscribe:     cfg.AlwaysSubscribe,
		UnorderedAnswers:    cfg.AcknowledgeOutOfOrder,
		Tolerate:            c.engine.tolerance.note,
		Reauthentication:    c.reauthStepped,
	})
	c.engine.warn = c.warn
	c.engine.queue = queueLimits{cfg.QueueMessages, cfg.QueueBytes}
	c.holds.client, c.holds.start = c, time.Now()
	c.mayWait.Store(int64(cfg.ReceiveMaximum))
	c.holds.watch.after = cfg.StallAfter
	c.router.init(cfg.HoldUnclaimed, cfg.Resume)
	c.router.unclaimed.period = cfg.HoldUnclaimedFor
	c.router.prefixes = cfg.FilterPrefixes
	return c, nil
}

// end completes whatever still waits, with err.
func (c *Client) end(err error) {
	var e notices
	c.engine.mu.Lock()
	if c.engine.ending == nil {
		c.engine.ending = err
	}
	err = c.engine.ending
	for _, f := range c.engine.flushes {
		f.err = err // what it waits for fails now
	}
	c.engine.Sender.Fail(err)
	c.engine.Subscriptions.Fail(err)
	c.engine.collectLocked(&e)
	c.engine.status.state = Closed
	c.engine.status.err = err
	c.engine.mu.Unlock()
	c.cancel(err)
	e.send()
	c.router.close(err)
	c.pumps.stop()
	c.holds.stop()
	c.endOwn(err)()
	c.retire(true)
	c.watchers.close(Event{State: Closed, Time: time.Now(), Err: err})
	c.cfg.Logger.Info("mqtt client ended", "client_id", c.cfg.ClientID, "cause", err)
}

// Done returns a channel that is closed when the client has ended and none of
// its goroutines is left.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the client has ended: ErrClosed after Close and Disconnect;
// nil while it has not.
func (c *Client) Err() error {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	return c.engine.status.err
}

// String names the client, without what its configuration has to hide.
func (c *Client) String() string {
	return fmt.Sprintf("mqtt.Client{ID: %q, Server: %q}", c.cfg.ClientID, c.connector.servers.own[0].Address)
}

// GoString is String: printing the fields would show the password.
func (c *Client) GoString() string { return c.String() }
