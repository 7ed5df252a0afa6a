package mqtt

import (
	"context"
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

// Disconnect ends the client in order. Until ctx ends, it does this:
//
//   - It takes over no more messages. What comes from now on stays with the server. Shared
//     filters are unsubscribed first, so that other members get it. New Subscriptions fail
//     with ErrClosed.
//   - It lets the consumers take what was received and waits until they are done with it.
//     They may publish, and send Requests, meanwhile.
//   - It takes no more messages for publishing, and no more Requests. It waits for the
//     responses to the Requests under way, and for the server's acknowledgement of
//     everything that was accepted, except for messages that the server refuses for now
//     (see Config.RetryRefused).
//   - Where the session stays (Config.Resume), it waits until the server has every
//     acknowledgement and has ended the exchanges of QoS 2. It makes a new connection if
//     need be, and waits at most for Config.WriteTimeout. Then the next process gets none
//     of these messages.
//
// Then it sends DISCONNECT and closes like Close. The client ends in any case. The error
// has an *UnfinishedError, which counts what was left, or says like that of Flush how
// many QoS 0 messages were lost.
//
// A Subscription has a consumer while a Stream or Messages is open, a loop over All or a
// Handle or Respond runs, and once Next was called, until its context ends. Nobody is
// waited for where there is none. A consumer is done with a message when it is
// acknowledged: when Stream, Messages or Next have handed it over, when the body of All or
// the function of Handle has returned, and with ManualAck when the program says so. So
// end a Stream that is not read any more before Disconnect. A call of Disconnect from
// such a body or function waits for itself. So that it does not wait forever where ctx
// has no deadline, it then gives up when nothing was taken or finished for
// Config.WriteTimeout.
//
// The reason is Success unless one is given. DisconnectWithWill asks the server to
// publish the will all the same. (Before 5.0 DISCONNECT has no reason. With any but
// Success the connection is then closed without DISCONNECT, and the server publishes
// the will.) A reason that a client cannot give is refused with ErrInvalid, and the
// client lives on.
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
	// zero only if the session does not end with the connection: see Config.SessionExpiry.
	// If nil, the session stays for Config.SessionExpiry with Config.Resume, and ends
	// without.
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
	c.engine.mu.Lock()
	ended := c.engine.ended != nil
	c.engine.mu.Unlock()
	if ended {
		return nil
	}
	e := ending{client: c, packet: p, own: c.disconnectOwn(ctx, o)}
	e.do(ctx)
	received := c.leave(p, ErrClosed)
	<-c.done
	return e.result(ctx, received)
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
	if d := o.SessionExpiry; d != nil && *d != 0 && c.fleeting() {
		return nil, invalid("session expiry", "%v after CONNECT said that there is none", *d)
	}
	return p, nil
}

// fleeting reports whether CONNECT asked for a session that ends with the connection.
func (c *Client) fleeting() bool {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	if c.conn != nil {
		return c.conn.fleeting
	}
	return c.cfg.SessionExpiry < 0
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

// leave begins the end of the client with err. It returns how many received messages are
// left; see UnfinishedError.
func (c *Client) leave(p *wire.Disconnect, err error) (received int) {
	var k *conn
	c.engine.do(func(engine *session.Client) {
		c.engine.endLocked(err)
		c.holds.handLocked(engine) // what is acknowledged later comes too late
		received = c.unfinishedLocked(p)
		if k = c.conn; k != nil {
			c.bufferDisconnectLocked(p)
			k.leaveLocked(ErrClosed)
		}
	})
	if k == nil {
		c.cancel(ErrClosed)
		return received
	}
	k.limitLeaving()
	return received
}

// unfinishedLocked returns how many received messages are not finished. Where the session
// ends with the DISCONNECT p, what the server does not know any more does not count.
// Called with engine.mu held.
func (c *Client) unfinishedLocked(p *wire.Disconnect) int {
	// Only responses are handed over that come after what is too late, and nobody is left to
	// get them twice.
	held, waiting := c.engine.Receiver.Unacknowledged()
	if !c.keepsSessionLocked(p) {
		return held
	}
	return held + waiting + c.engine.Receiver.Owed()
}

// bufferDisconnectLocked puts DISCONNECT behind what waits to be written.
func (c *Client) bufferDisconnectLocked(p *wire.Disconnect) {
	v := c.engine.Version()
	if v < V5 {
		*p = wire.Disconnect{ReasonCode: p.ReasonCode}
	} else if p.SessionExpiryInterval == nil && !c.cfg.Resume && c.engine.SessionExpiryInterval() > 0 {
		// Nothing of this client is left behind.
		p.SessionExpiryInterval = new(uint32(0))
	} else if c.conn.fleeting {
		p.SessionExpiryInterval = nil // this connection is a later one than was asked about
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

// keepsSessionLocked says whether the session outlives the DISCONNECT p. Called with engine.mu
// held.
func (c *Client) keepsSessionLocked(p *wire.Disconnect) bool {
	switch {
	case c.engine.Version() == V5 && c.conn != nil && c.conn.fleeting && c.engine.SessionExpiryInterval() == 0:
		return false
	case c.engine.Version() < V5 || p.SessionExpiryInterval == nil:
		return c.cfg.Resume
	}
	return *p.SessionExpiryInterval > 0
}
