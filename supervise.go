package mqtt

import (
	"context"
	"errors"
	"fmt"
	"math"
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
		healthy := c.link.backoff.Lost(time.Now())
		if errors.Is(err, errOnDemand) {
			c.link.backoff.Reset() // the connection did not fail
			healthy = true
		}
		c.link.route.shunned = !healthy
		c.indulge(err)
		err = c.link.evictions.judge(k, err, healthy, time.Now())
		if k, err = c.reconnect(err); err != nil {
			return err
		}
	}
}

// indulge lets a server that was disconnected for exceeding our receive maximum
// exceed it by more on the next connection. Some exceed it whenever they resume
// a session (Mosquitto 2.0 adds what came meanwhile to what was in flight), and
// would be turned away forever.
func (c *Client) indulge(err error) {
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || fault.Reason != ReceiveMaximumExceeded {
		return
	}
	c.link.indulgence = min(8*max(c.link.indulgence, int(c.cfg.ReceiveMaximum)), math.MaxUint16)
	c.mayWait.Store(2 * int64(c.link.indulgence)) // what came before may wait too
	c.engine.mu.Lock()
	c.engine.Indulge(c.link.indulgence)
	c.engine.mu.Unlock()
}

// connectFirst makes the first connection under ctx.
func (c *Client) connectFirst(ctx context.Context) (*conn, error) {
	var cause error
	for attempt := 1; ; attempt++ {
		k, err := c.connect(ctx, attempt, cause)
		if err == nil {
			return k, nil
		}
		if !c.cfg.RetryFirst || ctx.Err() != nil || c.permanent(ctx, err) {
			return nil, err
		}
		if err := c.pause(ctx, attempt, err); err != nil {
			return nil, err
		}
		cause = err
	}
}

// reconnect makes the next connection after the last was lost because of err.
func (c *Client) reconnect(err error) (*conn, error) {
	// Close, which began when the connection had a second left, waits for nobody.
	if ending := c.engine.endingCause(); ending != nil {
		return nil, ending
	}
	if asked, ok := redirection(err); ok {
		c.link.route.once, err = c.follow(c.ctx, c.link.route.present, asked)
		if err == nil {
			err = asked
		}
	}
	for attempt := 1; ; attempt++ {
		ending := c.engine.endingCause()
		switch {
		case ending != nil:
			return nil, ending
		case c.permanent(c.ctx, err):
			return nil, fmt.Errorf("mqtt: %w", err)
		}
		if len(c.link.route.once) == 0 { // a redirection is followed at once
			if err := c.pause(c.ctx, attempt, err); err != nil {
				return nil, err
			}
		}
		k, failed := c.connect(c.ctx, attempt, err)
		if failed == nil {
			return k, nil
		}
		err = failed
	}
}

// permanent asks the caller's function about err, unless connect has done so.
func (c *Client) permanent(ctx context.Context, err error) bool {
	if r, asked := errors.AsType[*roundError](err); asked {
		return r.final
	}
	if errors.Is(err, errOnDemand) {
		return false
	}
	if c.cfg.Permanent == nil {
		return c.hopeless(err)
	}
	permanent, _ := detached(ctx, func() bool { return c.cfg.Permanent(err) })
	return permanent // false when ctx has ended: pause says why
}

// pause waits before the attempt, which follows the failure cause.
func (c *Client) pause(ctx context.Context, attempt int, cause error) error {
	c.link.route.hops = 0
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
	case <-c.revival.now:
		c.link.backoff.Reset()
		return nil
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), cause)
	}
}

// forget ends the engine's part of connection k, which err ended.
func (c *Client) forget(k *conn, err error) {
	cause := k.endedBy(err)
	var e notices
	c.holds.serve(nil)
	c.engine.mu.Lock()
	c.engine.WroteBytes(k.written.Load())
	k.answersPacket = c.engine.MayAnswer(cause)
	c.engine.LostBecause(cause, time.Now())
	if c.engine.conn == k {
		c.engine.conn = nil
		c.engine.counters.lost++
	}
	flushed := k.out.flushed
	k.out.flushed = nil
	c.engine.collectLocked(&e)
	c.engine.mu.Unlock()
	if flushed != nil {
		close(flushed)
	}
	e.send()
	c.cfg.Logger.Info("mqtt connection ended", "client_id", c.cfg.ClientID, "cause", err)
}

// IsPermanent reports whether trying to connect again is pointless because of
// err: the server refused the credentials, the identifier, the version or the
// kind of client, or CONNECT as such, or another client has taken over the
// session. With Config.Permanent unset a refusal of credentials is the end only
// if nothing could change it, and a session that is taken over only if it is the
// second time; see there.
func IsPermanent(err error) bool {
	if r, ok := errors.AsType[*roundError](err); ok {
		return r.final
	}
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
