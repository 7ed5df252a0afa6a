package mqtt

import (
	"context"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/wire"
)

// run serves one connection after the other, until there is to be no further one, and
// returns why. The first is k.
func (c *Client) run(k *conn) error {
	for {
		err := k.serve()
		ended := lost{cause: err, fromPacket: c.forget(k, err)}
		if k, err = c.connector.next(c.ctx, ended); err != nil {
			return err
		}
	}
}

// openConn leads from nc to an MQTT connection, which is the client's from then on.
func (c *Client) openConn(ctx context.Context, nc *transport.Conn, h hello) (*conn, error) {
	k := newConn(c.connOptions(), nc, h)
	err := k.handshake(ctx, h, c.connectPacket(h))
	if err != nil {
		c.forget(k, err)
	}
	return k, err
}

// endingCause returns why no more connections are wanted; nil: they are.
func (c *Client) endingCause() error { return c.engine.endingCause() }

// connectPacket builds the CONNECT of the next attempt. It starts clean unless
// a server may hold our session: that would delete what waits in it.
func (c *Client) connectPacket(h hello) *wire.Connect {
	c.engine.mu.Lock()
	clean := !c.engine.HasSessionOf(h.clientID)
	if c.keeper != nil && h.version < V5 {
		clean = false // a clean session would end with the connection
	}
	receiveMaximum := c.window.announce(c.cfg.ReceiveMaximum)
	c.engine.mu.Unlock()
	packet := c.cfg.connectPacket(h.version, clean || h.clientID == "", &h.connectFields)
	if h.version == V5 {
		packet.ReceiveMaximum = receiveMaximum
	}
	return packet
}

// tolerate lets the server have so many messages in flight.
func (c *Client) tolerate(receiveMaximum int) {
	c.window.mayWait.Store(2 * int64(receiveMaximum)) // what came before may wait too
	c.engine.mu.Lock()
	c.engine.AllowExcess(receiveMaximum)
	c.engine.mu.Unlock()
}

// reconnectNow is how Reconnect and the goroutine that makes connections meet.
type reconnectNow struct {
	token   chan struct{} // one: do not wait for the next attempt; nil: nobody has looked since the last connection
	waiting []chan struct{}
}

// tokenLocked returns the channel with the token.
func (r *reconnectNow) tokenLocked() chan struct{} {
	if r.token == nil {
		r.token = make(chan struct{}, 1)
	}
	return r.token
}

// atOnce returns a channel that has a token when the next attempt is not to wait.
func (c *Client) atOnce() <-chan struct{} {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	return c.reconnectNow.tokenLocked()
}

// Reconnect drops the connection, if there is one, and returns when the next is
// established. It skips the wait of the back-off, also when there is no connection. An
// attempt that is under way continues. The server gets a DISCONNECT that leaves the
// session as it is, and does not publish the will.
//
// Use it when the network has changed, or credentials have. When ctx ends, only the
// wait ends.
func (c *Client) Reconnect(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &requestError{"reconnect", "", false, context.Cause(ctx)}
	}
	established := make(chan struct{})
	c.engine.mu.Lock()
	if c.engine.ending != nil {
		err := c.engine.ending
		c.engine.mu.Unlock()
		return &requestError{"reconnect", "", false, err}
	}
	c.reconnectNow.waiting = append(c.reconnectNow.waiting, established)
	k := c.replaceLocked(errOnDemand)
	c.engine.mu.Unlock()
	if k != nil {
		k.limitLeaving()
	}
	select {
	case <-established:
		return nil
	case <-ctx.Done():
		c.engine.mu.Lock()
		c.reconnectNow.forgetLocked(established)
		c.engine.mu.Unlock()
		return &requestError{"reconnect", "", true, context.Cause(ctx)}
	case <-c.ctx.Done():
		return &requestError{"reconnect", "", true, context.Cause(c.ctx)}
	}
}

// renew drops the connection, if there is one, so that the server sends again what
// it keeps for us.
func (c *Client) renew() {
	c.engine.mu.Lock()
	var k *conn
	if c.engine.ending == nil {
		k = c.dropLocked(errOnDemand)
	}
	c.engine.mu.Unlock()
	if k != nil {
		k.limitLeaving()
	}
}

// retire replaces k, which has reached its largest age, unless it ends already.
func (c *Client) retire(k *conn) {
	c.engine.mu.Lock()
	old := c.conn
	if c.engine.ending != nil || old != k || k.leaving != nil {
		old = nil
	} else {
		c.replaceLocked(errTooOld)
	}
	c.engine.mu.Unlock()
	if old != nil {
		old.limitLeaving()
	}
}

// replaceLocked is dropLocked with the next attempt at once.
func (c *Client) replaceLocked(cause error) *conn {
	select {
	case c.reconnectNow.tokenLocked() <- struct{}{}:
	default:
	}
	return c.dropLocked(cause)
}

// dropLocked begins the end of the connection because of cause, whose limitLeaving has to
// follow without the lock. Called with engine.mu held.
func (c *Client) dropLocked(cause error) *conn {
	k := c.conn
	if k == nil {
		return nil
	}
	if k.leaving == nil {
		c.detachLocked()
	}
	k.leaveLocked(cause)
	return k
}

// detachLocked puts a DISCONNECT that keeps the session behind what waits to be
// written, acknowledgements among it. Called with engine.mu held.
func (c *Client) detachLocked() {
	c.holds.handLocked(c.engine.Client)
	if err := c.engine.Disconnect(&wire.Disconnect{}); err != nil {
		c.engine.Fail(err)
	}
}

// connectedLocked answers all calls of Reconnect: there is a connection that is newer than
// they are. Called with engine.mu held.
func (r *reconnectNow) connectedLocked() {
	for _, established := range r.waiting {
		close(established)
	}
	r.waiting, r.token = nil, nil
}

func (r *reconnectNow) forgetLocked(established chan struct{}) {
	for i, ch := range r.waiting {
		if ch == established {
			r.waiting = append(r.waiting[:i], r.waiting[i+1:]...)
			return
		}
	}
}
