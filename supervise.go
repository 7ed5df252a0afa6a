package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"syscall"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

var errConnectTimeout = errors.New("no CONNACK within the connect timeout")

// ErrRetriesExhausted is in the error of a client that gave up because
// Config.Reconnect.MaxAttempts was reached.
var ErrRetriesExhausted = errors.New("no more attempts to reconnect")

// supervise outlives connections: it serves one, waits, makes the next.
func (c *Client) supervise(k *conn) error {
	for {
		up := time.Now()
		c.link.backoff.Connected(up)
		err := k.serve(c.ctx)
		c.forget(k, err)
		c.link.backoff.Lost(time.Now())
		c.indulge(err)
		if k, err = c.reconnect(err); err != nil {
			return err
		}
	}
}

// indulge lets a server that was disconnected for exceeding our receive maximum
// exceed it by more on the next connection. Some exceed it whenever they resume
// a session (Mosquitto 2.0 adds what came meanwhile to what was in flight), and
// would be turned away for ever.
func (c *Client) indulge(err error) {
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || fault.Reason != ReceiveMaximumExceeded {
		return
	}
	c.link.indulgence = min(8*max(c.link.indulgence, int(c.cfg.ReceiveMaximum)), math.MaxUint16)
	c.mu.Lock()
	c.engine.Indulge(c.link.indulgence)
	c.mu.Unlock()
}

// connectFirst makes the first connection under ctx.
func (c *Client) connectFirst(ctx context.Context) (*conn, error) {
	for attempt := 1; ; attempt++ {
		k, err := c.connect(ctx, attempt)
		if err == nil {
			return k, nil
		}
		if !c.cfg.RetryFirst || ctx.Err() != nil || c.permanent(ctx, err) {
			return nil, err
		}
		if err := c.pause(ctx, attempt, err); err != nil {
			return nil, err
		}
	}
}

// reconnect makes the next connection after one was lost because of err.
func (c *Client) reconnect(err error) (*conn, error) {
	for attempt := 1; ; attempt++ {
		c.mu.Lock()
		ending := c.ending
		c.mu.Unlock()
		switch {
		case ending != nil:
			return nil, ending
		case c.permanent(c.ctx, err):
			return nil, fmt.Errorf("mqtt: %w", err)
		}
		if err := c.pause(c.ctx, attempt, err); err != nil {
			return nil, err
		}
		var k *conn
		if k, err = c.connect(c.ctx, attempt); err == nil {
			return k, nil
		}
	}
}

// permanent asks the caller's function, which may call Close or take its time:
// it must not be able to hold up the goroutine that Close waits for.
func (c *Client) permanent(ctx context.Context, err error) bool {
	verdict := make(chan bool, 1)
	go func() { verdict <- c.cfg.Permanent(err) }()
	select {
	case permanent := <-verdict:
		return permanent
	case <-ctx.Done():
		return false // pause says why
	}
}

// pause waits before the attempt, which follows the failure cause.
func (c *Client) pause(ctx context.Context, attempt int, cause error) error {
	delay, ok := c.link.backoff.Next()
	if !ok {
		return fmt.Errorf("mqtt: %w: %w", ErrRetriesExhausted, cause)
	}
	c.setState(Event{State: Reconnecting, Err: cause, Attempt: attempt, Delay: delay})
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), cause)
	}
}

// connect makes one attempt, which with Auto may mean two connections: when
// the server does not take 5.0, 3.1.1 is tried at once.
func (c *Client) connect(ctx context.Context, attempt int) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.ConnectTimeout, errConnectTimeout)
	defer cancel()
	c.setState(Event{State: Connecting, Attempt: attempt})
	k, err := c.connectAs(ctx, c.link.version)
	if err == nil {
		c.link.settled = true
		return k, nil
	}
	if c.link.settled || !refusesVersion(err) {
		return nil, err
	}
	old, oldErr := c.connectAs(ctx, V311)
	if oldErr != nil {
		if _, said := errors.AsType[*ServerError](oldErr); said {
			err = oldErr
		}
		return nil, err
	}
	c.link.version, c.link.settled = V311, true
	c.mu.Lock()
	c.status.info.Fallback = err
	c.mu.Unlock()
	return old, nil
}

// refusesVersion says whether err may mean that the server does not speak 5.0:
// it said so, or it hung up on CONNECT without a word.
func refusesVersion(err error) bool {
	return errors.Is(err, UnsupportedProtocolVersion) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

func (c *Client) connectAs(ctx context.Context, v Version) (*conn, error) {
	nc, err := c.cfg.dial(ctx, c.server)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		return nil, err
	}
	k := newConn(c, nc, v)
	if err := k.handshake(ctx, v, c.connectPacket(v)); err != nil {
		return nil, err
	}
	return k, nil
}

// connectPacket builds the CONNECT of the next attempt. It starts clean unless
// the server may hold our session.
func (c *Client) connectPacket(v Version) *wire.Connect {
	c.mu.Lock()
	clean := !c.engine.HasSession()
	c.mu.Unlock()
	username, password := c.cfg.Username, c.cfg.Password
	if username == "" && password == "" {
		username, password = c.server.username, c.server.password
	}
	return c.cfg.connectPacket(v, clean, username, password)
}

// forget ends the engine's part of connection k, which err ended.
func (c *Client) forget(k *conn, err error) {
	_, said := errors.AsType[*ServerError](err)
	var e effects
	c.receipts.serve(nil)
	c.mu.Lock()
	c.engine.Lost(said || errors.Is(err, io.EOF))
	if c.conn == k {
		c.conn = nil
		c.counters.lost++
	}
	flushed := k.flushed
	k.flushed = nil
	c.settle(&e)
	c.mu.Unlock()
	if flushed != nil {
		close(flushed)
	}
	e.perform()
	c.cfg.Logger.Info("mqtt connection ended", "client_id", c.cfg.ClientID, "cause", err)
}

// IsPermanent reports whether trying to connect again is pointless because of
// err: the server refused the credentials, the identifier, the version or the
// kind of client, or CONNECT as such, or another client has taken over the
// session. It is the
// default of Config.Permanent.
func IsPermanent(err error) bool {
	e, ok := errors.AsType[*ServerError](err)
	if !ok {
		return false
	}
	switch e.ReasonCode {
	case UnsupportedProtocolVersion, ClientIdentifierNotValid, BadUserNameOrPassword, NotAuthorized,
		Banned, BadAuthenticationMethod, SessionTakenOver:
		return true
	case MalformedPacket, ProtocolError, TopicNameInvalid, PacketTooLarge, PayloadFormatInvalid,
		RetainNotSupported, QoSNotSupported:
		// In CONNACK they are about CONNECT, which will be the same again. In
		// DISCONNECT they are about one packet among many.
		return e.Packet == wire.TypeConnack
	}
	return false
}
