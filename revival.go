package mqtt

import (
	"context"
	"errors"

	"github.com/seed65a45251/mqtt/wire"
)

var errOnDemand = errors.New("Reconnect was called")

// revival is how Reconnect and the goroutine that makes connections meet.
type revival struct {
	now     chan struct{} // one token: do not wait for the next attempt
	waiting []chan struct{}
}

// Reconnect drops the connection, if there is one, and returns when the next is
// established. What the back-off would have waited is skipped, also when there
// is no connection; an attempt that is under way is given its time. The server
// gets a DISCONNECT that leaves the session as it is, and does not publish the
// will.
//
// It is for when the network is known to have changed, or credentials have. When
// ctx ends, only the wait ends.
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
	c.revival.waiting = append(c.revival.waiting, established)
	select {
	case c.revival.now <- struct{}{}:
	default:
	}
	k := c.drop()
	c.engine.mu.Unlock()
	if k != nil {
		k.hurry()
	}
	select {
	case <-established:
		return nil
	case <-ctx.Done():
		c.engine.mu.Lock()
		c.revival.forget(established)
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
		k = c.drop()
	}
	c.engine.mu.Unlock()
	if k != nil {
		k.hurry()
	}
}

// drop begins the end of the connection, whose hurry has to follow without the lock.
// Called with engine.mu held.
func (c *Client) drop() *conn {
	k := c.engine.conn
	if k == nil {
		return nil
	}
	if k.leaving == nil {
		c.detach()
	}
	k.leave(errOnDemand)
	return k
}

// detach puts a DISCONNECT that keeps the session behind what waits to be
// written, acknowledgements among it. Called with engine.mu held.
func (c *Client) detach() {
	c.holds.hand(c.engine.Client)
	if err := c.engine.Disconnect(&wire.Disconnect{}); err != nil {
		c.engine.Fail(err)
	}
}

// done answers all calls of Reconnect: there is a connection that is newer than
// they are. Called with engine.mu held.
func (r *revival) done() {
	for _, established := range r.waiting {
		close(established)
	}
	r.waiting = nil
	select {
	case <-r.now:
	default:
	}
}

func (r *revival) forget(established chan struct{}) {
	for i, ch := range r.waiting {
		if ch == established {
			r.waiting = append(r.waiting[:i], r.waiting[i+1:]...)
			return
		}
	}
}
