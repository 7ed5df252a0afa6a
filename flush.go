package mqtt

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// flush waits for all messages up to a number.
type flush struct {
	seq       uint64
	remaining int
	err       error // set before done is closed: the client ended first
	done      chan struct{}
}

func queueFull(ctx context.Context) error {
	return errors.Join(ErrQueueFull, context.Cause(ctx))
}

// Flush waits until everything that was accepted for publishing before the
// call is written to the network and, above AtMostOnce, acknowledged. It does
// not wait for what is published meanwhile. When the connection is lost before
// QoS 0 messages were written, Flush returns ErrConnectionLost. Messages that
// the server refused do not fail Flush; their Delivery says so.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	ending := c.ending
	c.mu.Unlock()
	if ending != nil {
		return &requestError{"flush", "", true, ending}
	}
	return c.flush(ctx)
}

func (c *Client) flush(ctx context.Context) error {
	if err := c.awaitOutstanding(ctx); err != nil {
		return &requestError{"flush", "", true, err}
	}
	if err := c.awaitWritten(ctx); err != nil {
		return &requestError{"flush", "", true, err}
	}
	return nil
}

func (c *Client) awaitOutstanding(ctx context.Context) error {
	c.mu.Lock()
	f := &flush{seq: c.engine.Sender.LastSeq(), done: make(chan struct{})}
	if f.remaining = c.engine.Sender.Outstanding(f.seq); f.remaining == 0 {
		c.mu.Unlock()
		return nil
	}
	c.flushes = append(c.flushes, f)
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.flushes = slices.DeleteFunc(c.flushes, func(g *flush) bool { return g == f })
		return fmt.Errorf("%d messages not acknowledged: %w", f.remaining, context.Cause(ctx))
	}
}

// countFlushes tells those who wait for message seq that it is out of the way.
// Called with c.mu held.
func (c *Client) countFlushes(e *effects, seq uint64) {
	c.flushes = slices.DeleteFunc(c.flushes, func(f *flush) bool {
		if seq > f.seq {
			return false
		}
		if f.remaining--; f.remaining > 0 {
			return false
		}
		e.flushes = append(e.flushes, f)
		return true
	})
}

// awaitWritten waits until the last QoS 0 message is written. All others are
// acknowledged by now.
func (c *Client) awaitWritten(ctx context.Context) error {
	c.mu.Lock()
	k := c.conn
	if k == nil {
		// What was in the buffer of a lost connection is gone already; what
		// was queued has been waited for.
		c.mu.Unlock()
		return nil
	}
	for target := k.out.lossy; k.out.written < target; {
		if c.conn != k {
			c.mu.Unlock()
			return ErrConnectionLost
		}
		progress := k.progress()
		c.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		c.mu.Lock()
	}
	c.mu.Unlock()
	return nil
}
