package mqtt

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Close ends the client without waiting for what is in flight. It ends the
// Subscriptions, acknowledges what consumers have taken, sends DISCONNECT if that takes
// no longer than a second, and ends every wait with ErrClosed. It returns when no
// goroutine of the client is left. Further calls do nothing. Where the server keeps the
// session, shared filters are unsubscribed before DISCONNECT; see
// SubscribeOptions.KeepShared.
func (c *Client) Close() error {
	c.closeFor(ErrClosed)
	return nil
}

// closeFor is Close because of err.
func (c *Client) closeFor(err error) {
	wait := c.own.endAll(err)
	c.inbox.cut(err)
	c.leave(&wire.Disconnect{}, err)
	<-c.done
	wait()
}

// Disconnect ends the client in order. It waits until everything accepted for
// publishing is acknowledged. Where the server keeps the session, it unsubscribes
// shared filters and waits for the answer or the end of the connection. Then it ends
// the Subscriptions, sends DISCONNECT and closes like Close.
//
// A message that Stream, Messages or Next has handed over is acknowledged before that.
// Where the session stays (Config.Resume), Disconnect also waits until the server has
// every acknowledgement and has ended the exchanges of QoS 2. It makes a new connection
// if need be, and waits at most for Config.WriteTimeout. Then the next process gets
// none of these messages. Messages that no consumer has taken stay with the server. So
// do those that a loop over All, or a holder of a ManualAck message, is still busy
// with. Functions of Handle have a second to return.
//
// The reason is Success unless one is given. DisconnectWithWill asks the server to
// publish the will all the same. (Before 5.0 DISCONNECT has no reason. With any but
// Success the connection is then closed without DISCONNECT, and the server publishes
// the will.) A reason that a client cannot give is refused with ErrInvalid, and the
// client lives on.
//
// When ctx ends first, the client is closed nevertheless. The error says what was left
// or, like that of Flush, how many QoS 0 messages were lost.
func (c *Client) Disconnect(ctx context.Context, reason ...ReasonCode) error {
	o := DisconnectOptions{}
	if len(reason) > 0 {
		o.ReasonCode = reason[0]
	}
	return c.DisconnectWith(ctx, o)
}

// DisconnectOptions describe the DISCONNECT at the end of a client in full. The fields
// below ReasonCode exist in 5.0 only and are left out before.
type DisconnectOptions struct {
	// ReasonCode is why the client leaves. Zero means Success.
	ReasonCode ReasonCode
	// SessionExpiry is how long the server keeps the session from now on, in whole
	// seconds. Zero ends the session; negative keeps it forever. It can be other than
	// zero only if Config.SessionExpiry is not negative. If nil, the session stays for
	// Config.SessionExpiry with Config.Resume, and ends without.
	SessionExpiry *time.Duration
	// ReasonString is text for people, for diagnosis only.
	ReasonString string
	// UserProperties go to the server.
	UserProperties []UserProperty
}

// DisconnectWith is Disconnect with all options.
func (c *Client) DisconnectWith(ctx context.Context, o DisconnectOptions) error {
	p, err := c.disconnectPacket(&o)
	if err != nil {
		return &requestError{"disconnect", "", false, err}
	}
	own := c.disconnectOwn(ctx, o)
	err = c.flush(ctx)
	if late := c.leaveShared(ctx, p); err == nil {
		err = late
	}
	c.inbox.cut(ErrClosed)
	c.inbox.handlers.wait(ctx, leaveTimeout)
	if err == nil {
		err = c.flush(ctx) // what consumers have published meanwhile
	}
	if left := c.awaitReleased(ctx, p); err == nil {
		err = left
	}
	if left := own(); err == nil {
		err = left
	}
	c.leave(p, ErrClosed)
	<-c.done
	return err
}

func (c *Client) disconnectPacket(o *DisconnectOptions) (*wire.Disconnect, error) {
	if err := checkDisconnect(o.ReasonCode); err != nil {
		return nil, err
	}
	if err := validateText("reason string", o.ReasonString); err != nil {
		return nil, err
	}
	if err := validateUserProperties(o.UserProperties); err != nil {
		return nil, err
	}
	if o.SessionExpiry != nil {
		if err := checkSeconds("session expiry", *o.SessionExpiry); err != nil {
			return nil, err
		}
	}
	p := &wire.Disconnect{ReasonCode: o.ReasonCode, ReasonString: o.ReasonString, UserProperties: o.UserProperties}
	switch d := o.SessionExpiry; {
	case d == nil:
	case *d < 0:
		p.SessionExpiryInterval = new(uint32(math.MaxUint32))
	default:
		p.SessionExpiryInterval = new(seconds(*d))
	}
	// §3.14.2.2.2: a session that was to end with the connection cannot be kept.
	if d := o.SessionExpiry; d != nil && *d != 0 && c.cfg.SessionExpiry < 0 {
		return nil, invalid("session expiry", "%v after Config.SessionExpiry said that there is none", *d)
	}
	return p, nil
}

// checkDisconnect obeys [MQTT-3.14.2-1]: a client gives no other codes.
func checkDisconnect(code ReasonCode) error {
	switch code {
	case Success, DisconnectWithWill, UnspecifiedError, MalformedPacket, ProtocolError, ImplementationSpecificError,
		TopicNameInvalid, ReceiveMaximumExceeded, TopicAliasInvalid, PacketTooLarge, MessageRateTooHigh,
		QuotaExceeded, AdministrativeAction, PayloadFormatInvalid:
		return nil
	}
	return invalid("reason code", "a client cannot give %v", code)
}

// leave begins the end of the client with err.
func (c *Client) leave(p *wire.Disconnect, err error) {
	var k *conn
	c.engine.do(func(engine *session.Client) {
		c.engine.endLocked(err)
		if k = c.conn; k != nil {
			c.holds.handLocked(engine)
			c.bufferDisconnectLocked(p)
			k.leaveLocked(ErrClosed)
		}
	})
	if k == nil {
		c.cancel(ErrClosed)
		return
	}
	k.limitLeaving()
}

// bufferDisconnectLocked puts DISCONNECT behind what waits to be written.
func (c *Client) bufferDisconnectLocked(p *wire.Disconnect) {
	v := c.engine.Version()
	if v < V5 {
		*p = wire.Disconnect{ReasonCode: p.ReasonCode}
	} else if p.SessionExpiryInterval == nil && !c.cfg.Resume && c.engine.SessionExpiryInterval() > 0 {
		// Nothing of this client is left behind.
		p.SessionExpiryInterval = new(uint32(0))
	}
	if c.keepsSessionLocked(p) {
		c.inbox.leaveResponseTopicsLocked()
		c.inbox.withdrawLocked()
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

// The end of a client: the queues are cut, the goroutines behind channels end, the
// acknowledgements of what consumers have are collected, and only then DISCONNECT
// goes out. So no message that somebody has is left to the next process.

// leaveShared ends shared filters for Disconnect: consumers can still take what the server
// sends before its answer. Without a connection, and when it is lost, there is
// nothing to wait for.
func (c *Client) leaveShared(ctx context.Context, p *wire.Disconnect) error {
	var k *conn
	u := &leaving{done: make(chan struct{})}
	c.engine.do(func(*session.Client) {
		if c.engine.ending != nil || c.conn == nil || !c.keepsSessionLocked(p) {
			return
		}
		if leave := c.inbox.withdrawLocked(); leave != nil {
			leave.Owner, k = u, c.conn
		}
	})
	for k != nil {
		c.engine.mu.Lock()
		if c.conn != k {
			c.engine.mu.Unlock()
			return nil
		}
		progress := k.outbox.progressLocked()
		c.engine.mu.Unlock()
		select {
		case <-u.done: // whatever the server says
			return nil
		case <-progress:
		case <-ctx.Done():
			return &requestError{"disconnect", "", true, fmt.Errorf("shared filters not unsubscribed: %w", context.Cause(ctx))}
		}
	}
	return nil
}

// keepsSessionLocked says whether the session outlives the DISCONNECT p. Called with engine.mu
// held.
func (c *Client) keepsSessionLocked(p *wire.Disconnect) bool {
	if c.engine.Version() < V5 || p.SessionExpiryInterval == nil {
		return c.cfg.Resume
	}
	return *p.SessionExpiryInterval > 0
}

// awaitReleased waits until the server knows of all that consumers have: until it has
// every acknowledgement that can be sent, and has ended the exchanges of QoS 2. It
// gives up after Config.WriteTimeout. Where the session ends with the DISCONNECT p it
// does not wait.
func (c *Client) awaitReleased(ctx context.Context, p *wire.Disconnect) error {
	done := make(chan struct{})
	stays := false
	c.engine.do(func(engine *session.Client) {
		c.holds.handLocked(engine)
		if stays = c.keepsSessionLocked(p); stays {
			c.engine.owed = append(c.engine.owed, done)
		}
	})
	if !stays {
		return nil
	}
	timer := time.NewTimer(c.cfg.WriteTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C: // a server that does not answer
		return nil
	case <-c.ctx.Done():
		return nil
	case <-ctx.Done():
	}
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	n := c.engine.Receiver.Owed()
	if n == 0 {
		return nil
	}
	return &requestError{"disconnect", "", true,
		fmt.Errorf("%d received messages whose exchange is not finished: %w", n, context.Cause(ctx))}
}
