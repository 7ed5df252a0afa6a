package mqtt

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// The end of a client: the queues are cut, the goroutines behind channels end, the
// acknowledgements of what consumers have are collected, and only then DISCONNECT
// goes out. So no message that somebody has is left to the next process.

// cut ends all Subscriptions with err and waits for the goroutines behind their
// channels. What nobody has taken is not acknowledged.
func (c *Client) cut(err error) {
	c.router.cut(err)
	c.pumps.stop()
}

// handlers are the calls of Handle under way.
type handlers struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0; nil: nobody waits
}

func (h *handlers) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
}

func (h *handlers) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n--; h.n == 0 && h.idle != nil {
		close(h.idle)
		h.idle = nil
	}
}

// wait waits until no Handle is under way, at most for limit: it may be one of them
// that waits.
func (h *handlers) wait(ctx context.Context, limit time.Duration) {
	h.mu.Lock()
	if h.n == 0 {
		h.mu.Unlock()
		return
	}
	if h.idle == nil {
		h.idle = make(chan struct{})
	}
	idle := h.idle
	h.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// awaitReleased waits until the server knows of all that consumers have: until it has
// every acknowledgement that can be sent, and has ended the exchanges of QoS 2. It
// gives up after Config.WriteTimeout. Where the session ends with the DISCONNECT p it
// does not wait.
func (c *Client) awaitReleased(ctx context.Context, p *wire.Disconnect) error {
	done := make(chan struct{})
	stays := false
	c.engine.do(func(engine *session.Client) {
		c.holds.hand(engine)
		if stays = c.keepsSession(p); stays {
			c.engine.released = append(c.engine.released, done)
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
