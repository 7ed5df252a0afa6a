package mqtt

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Client is a connection to a server that heals itself: it outlives network
// connections until Disconnect, Close, a permanent refusal, or the end of the
// reconnect policy. All methods are safe for concurrent use, also from inside
// loops over messages.
type Client struct {
	cfg    Config
	server server

	ctx    context.Context // ends with the client; its cause says why
	cancel context.CancelCauseFunc
	group  errgroup.Group // the goroutine of supervise
	done   chan struct{}  // closed when no goroutine is left

	// mu guards the engine and what follows. It is never held across I/O, a
	// channel operation or a call of the user's code.
	mu           sync.Mutex
	engine       *session.Client
	conn         *conn  // the established connection; nil: there is none
	epoch        uint64 // numbers attempts to connect
	ending       error  // why no more requests are taken; nil: they are
	refused      []refusal
	unsubscribes []*unsubscribeCall
	flushes      []*flush
	roomWaiters  []chan struct{}
	status       status
	counters     counters

	link       linkage
	deliveries deliveries
	router     router
	watchers   watchers
	pumps      pumps
	requests   requests
	reauth     reauthentication // guarded by mu
}

// linkage is what successive attempts to connect know. Only one goroutine, at
// first that of Connect, then supervise, touches it.
type linkage struct {
	version Version // spoken with the next attempt
	settled bool    // a server has accepted version
	backoff *reconnect.Backoff
	// indulgence is the receive maximum enforced; 0: the one announced. See indulge.
	indulgence int
}

// Connect connects to server, a URL such as mqtt://host:1883, mqtts://host:8883
// or unix:///path/to/socket, and returns when the server has accepted the
// connection. ctx bounds only this first connection; the client then lives
// until Disconnect or Close and reconnects by itself.
//
// The first failure is returned unless cfg.RetryFirst is set. A refusal by the
// server is a *ServerError.
func Connect(ctx context.Context, server string, cfg Config) (*Client, error) {
	c, err := newClient(server, cfg)
	if err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	k, err := c.connectFirst(ctx)
	if err != nil {
		c.end(err)
		close(c.done)
		return nil, fmt.Errorf("mqtt: connect to %s: %w", c.server.address, err)
	}
	c.group.Go(func() error {
		defer close(c.done)
		err := c.supervise(k)
		c.end(err)
		c.pumps.wait()
		return err
	})
	return c, nil
}

func newClient(rawServer string, cfg Config) (*Client, error) {
	s, err := parseServer(rawServer)
	if err != nil {
		return nil, err
	}
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, server: s, done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.engine = session.NewClient(session.ClientSettings{
		Inflight:         cfg.Inflight,
		TopicAliases:     cfg.SendTopicAliases,
		PingTimeout:      cfg.PingTimeout,
		HasSession:       cfg.Resume,
		Established:      c.resubscribe,
		Reauthentication: c.reauthStepped,
	})
	c.link.version = cfg.Version
	if cfg.Version == Auto {
		c.link.version = V5
	}
	// An older version could not authenticate and must not be fallen back to.
	c.link.settled = cfg.Version != Auto || cfg.Authenticator != nil
	c.link.backoff = reconnect.New(cfg.Reconnect, nil)
	c.router.init(cfg.HoldUnclaimed)
	return c, nil
}

// end completes whatever still waits, with err.
func (c *Client) end(err error) {
	var e effects
	c.mu.Lock()
	if c.ending == nil {
		c.ending = err
	}
	err = c.ending
	for _, f := range c.flushes {
		f.err = err // what it waits for fails now
	}
	c.engine.Sender.Fail(err)
	for _, u := range c.unsubscribes {
		c.refused = append(c.refused, refusal{u, err})
	}
	c.settle(&e)
	c.status.state = Closed
	c.status.err = err
	c.mu.Unlock()
	c.cancel(err)
	e.perform()
	c.pumps.close()
	c.router.close(err)
	c.watchers.close(Event{State: Closed, Time: time.Now(), Err: err})
	c.cfg.Logger.Info("mqtt client ended", "client_id", c.cfg.ClientID, "cause", err)
}

// Close ends the client without waiting for what is in flight: it says
// DISCONNECT if it can within a second, ends every wait with ErrClosed, and
// returns when no goroutine of the client is left. Further calls do nothing.
func (c *Client) Close() error {
	c.leave(&wire.Disconnect{})
	c.group.Wait()
	return nil
}

// Disconnect ends the client in order: it waits until everything accepted for
// publishing is acknowledged, then says DISCONNECT and closes like Close. The
// reason is Success unless one is given; DisconnectWithWill asks the server to
// publish the will all the same. (Before 5.0 DISCONNECT has no reason: with any
// but Success the connection is closed without it, and the server publishes the
// will.) When ctx ends first, the client is closed nevertheless, and the error
// says what was left. A reason that a client can not give is refused with
// ErrInvalid, and the client goes on.
func (c *Client) Disconnect(ctx context.Context, reason ...ReasonCode) error {
	p := &wire.Disconnect{}
	if len(reason) > 0 {
		p.ReasonCode = reason[0]
	}
	if err := checkDisconnect(p.ReasonCode); err != nil {
		return &requestError{"disconnect", "", false, err}
	}
	err := c.flush(ctx)
	c.leave(p)
	c.group.Wait()
	return err
}

// checkDisconnect obeys [MQTT-3.14.2-1]: a client gives no other codes.
func checkDisconnect(code ReasonCode) error {
	switch code {
	case Success, DisconnectWithWill, UnspecifiedError, MalformedPacket, ProtocolError, ImplementationSpecificError,
		TopicNameInvalid, ReceiveMaximumExceeded, TopicAliasInvalid, PacketTooLarge, MessageRateTooHigh,
		QuotaExceeded, AdministrativeAction, PayloadFormatInvalid:
		return nil
	}
	return invalid("reason code", "a client can not give %v", code)
}

// leave begins the end of the client with ErrClosed.
func (c *Client) leave(p *wire.Disconnect) {
	c.mu.Lock()
	if c.ending == nil {
		c.ending = ErrClosed
	}
	k := c.conn
	if k != nil {
		c.farewell(p)
		k.leave(ErrClosed)
	}
	c.mu.Unlock()
	if k == nil {
		c.cancel(ErrClosed)
		return
	}
	k.hurry()
}

// farewell puts DISCONNECT behind what waits to be written. Called with c.mu
// held.
func (c *Client) farewell(p *wire.Disconnect) {
	v := c.engine.Version()
	if v == V5 && !c.cfg.Resume && c.engine.SessionExpiryInterval() > 0 {
		// Nothing of this client is left behind.
		p.SessionExpiryInterval = new(uint32(0))
	}
	if c.cfg.Resume {
		c.leaveNoTransients()
	}
	if v < V5 && p.ReasonCode != Success {
		// Before 5.0 every DISCONNECT drops the will; only silence keeps it.
		c.engine.Fail(ErrClosed)
		return
	}
	if err := c.engine.Disconnect(p); err != nil {
		c.engine.Fail(err)
	}
}

// Done returns a channel that is closed when the client has ended and none of
// its goroutines is left.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the client has ended: ErrClosed after Close and Disconnect;
// nil while it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status.err
}

// String names the client, without what its configuration has to hide.
func (c *Client) String() string {
	return fmt.Sprintf("mqtt.Client{ID: %q, Server: %q}", c.cfg.ClientID, c.server.address)
}

// GoString is String: printing the fields would show the password.
func (c *Client) GoString() string { return c.String() }
