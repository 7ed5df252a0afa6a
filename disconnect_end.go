package mqtt

import (
	"context"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

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
		if c.engine.ending != nil || c.conn == nil || !c.keepsSession(p) {
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

// keepsSession says whether the session outlives the DISCONNECT p. Called with engine.mu
// held.
func (c *Client) keepsSession(p *wire.Disconnect) bool {
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
		if stays = c.keepsSession(p); stays {
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
