package mqtt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

var errConnectTimeout = errors.New("no CONNACK within the connect timeout")

// ErrRetriesExhausted is in the error of a client that gave up because
// Config.Reconnect.MaxAttempts was reached.
var ErrRetriesExhausted = errors.New("no more attempts to reconnect")

// connector makes one connection after the other and keeps what an attempt learns for the
// next. One goroutine at a time uses it: at first the one that makes the first
// connection, then the one that reconnects.
//
// An attempt goes down these levels, each in a method of its own: a round tries servers;
// a server has endpoints, several where SRV records name them; an endpoint has addresses;
// on an address a network connection is made and shakes hands.
type connector struct {
	cfg    *Config
	client connecting
	dialer *transport.Dialer

	servers   serverList
	versions  versions
	refusals  refusals
	evictions evictions
	backoff   *reconnect.Backoff
	assigned  string // the client identifier that a server has given us
	accepted  bool   // a server has accepted this client
	warned    bool   // that certificates are not verified
	// tolerated is the receive maximum that is enforced. Zero means the one announced.
	tolerated int
}

// connecting is the client that a connector connects.
type connecting interface {
	// openConn leads from a network connection to an MQTT connection. If it fails, the
	// connection is closed; the result says what was written and read.
	openConn(context.Context, *transport.Conn, hello) (*conn, error)
	// setState tells of a state without a connection.
	setState(Event)
	// attemptFailed tells of an attempt that has failed.
	attemptFailed(failedAttempt)
	// unverified tells that nobody has checked the certificate of the server at url.
	unverified(url string)
	// endingCause returns why no connection is wanted any more; nil: one is.
	endingCause() error
	// atOnce returns a channel that has a token when the back-off is to be skipped.
	atOnce() <-chan struct{}
	// tolerate lets the server have so many messages in flight.
	tolerate(receiveMaximum int)
}

// lost is how a connection ended.
type lost struct {
	cause      error
	fromPacket bool // it may have ended because of a packet of ours
}

// newConnector returns one for servers. cfg is validated.
func newConnector(cfg *Config, servers []server, client connecting) (*connector, error) {
	dialer, err := cfg.newDialer(servers)
	if err != nil {
		return nil, err
	}
	c := &connector{cfg: cfg, client: client, dialer: dialer, backoff: reconnect.New(cfg.Reconnect, nil)}
	c.servers.own = servers
	c.versions.fixed = cfg.Version
	if cfg.Authenticator != nil {
		// An older version could not authenticate and must not be fallen back to.
		c.versions.fixed = V5
	}
	return c, nil
}

// first makes the first connection under ctx. Without retry it returns the first failure.
func (c *connector) first(ctx context.Context, retry bool) (*conn, error) {
	var cause error
	for number := 1; ; number++ {
		k, err := c.tryRound(ctx, round{number, cause})
		if err == nil {
			return k, nil
		}
		switch {
		case !retry:
			return nil, err
		case ctx.Err() != nil:
			return nil, because(ctx, err) // it may have failed just before
		case c.permanent(ctx, err):
			return nil, err
		}
		if err := c.pause(ctx, number, err); err != nil {
			return nil, err
		}
		cause = err
	}
}

// next makes the connection after the one that ended as l says.
func (c *connector) next(ctx context.Context, l lost) (*conn, error) {
	cause := c.learn(l)
	// Close, which began when the connection had a second left, waits for nobody.
	if ending := c.client.endingCause(); ending != nil {
		return nil, ending
	}
	if asked, ok := redirection(cause); ok {
		c.servers.once, cause = c.follow(ctx, c.servers.present, asked)
		if cause == nil {
			cause = asked
		}
	}
	for number := 1; ; number++ {
		ending := c.client.endingCause()
		switch {
		case ending != nil:
			return nil, ending
		case c.permanent(ctx, cause):
			return nil, fmt.Errorf("mqtt: %w", cause)
		}
		if len(c.servers.once) == 0 { // a redirection is followed at once
			if err := c.pause(ctx, number, cause); err != nil {
				return nil, err
			}
		}
		k, err := c.tryRound(ctx, round{number, cause})
		if err == nil {
			return k, nil
		}
		cause = err
	}
}

// learn keeps what the end of a connection says for the next, and returns why it ended,
// in the terms of permanent.
func (c *connector) learn(l lost) error {
	now := time.Now()
	healthy := c.backoff.Lost(now)
	if errors.Is(l.cause, errOnDemand) {
		c.backoff.Reset() // the connection did not fail
		healthy = true
	}
	c.servers.failing = !healthy
	c.tolerateMore(l.cause)
	return c.evictions.judge(l, healthy, now)
}

// tolerateMore lets a server that was disconnected for exceeding our receive maximum
// exceed it by more on the next connection. Some exceed it whenever they resume
// a session (Mosquitto 2.0 adds what came meanwhile to what was in flight), and
// would be turned away forever.
func (c *connector) tolerateMore(err error) {
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || fault.Reason != ReceiveMaximumExceeded {
		return
	}
	c.tolerated = min(8*max(c.tolerated, int(c.cfg.ReceiveMaximum)), math.MaxUint16)
	c.client.tolerate(c.tolerated)
}

// pause waits before the round with this number, which follows the failure cause.
func (c *connector) pause(ctx context.Context, number int, cause error) error {
	c.servers.hops = 0
	delay, ok := c.backoff.Next()
	if !ok {
		return fmt.Errorf("mqtt: %w: %w", ErrRetriesExhausted, cause)
	}
	c.client.setState(Event{State: Reconnecting, Err: cause, Attempt: number, Delay: delay})
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.client.atOnce():
		c.backoff.Reset()
		return nil
	case <-ctx.Done():
		return because(ctx, cause)
	}
}

// describe words why there is no first connection.
func (c *connector) describe(err error) error {
	if _, several := errors.AsType[*roundError](err); several {
		return fmt.Errorf("mqtt: connect: %w", inner{err})
	}
	return fmt.Errorf("mqtt: connect to %s: %w", c.servers.own[0].Address, inner{err})
}
