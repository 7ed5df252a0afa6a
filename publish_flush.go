package mqtt

import (
	"context"
	"fmt"
)

// Flush waits until everything that was accepted for publishing before the call is
// written to the network and, above AtMostOnce, acknowledged. It does not wait for what
// is published meanwhile.
//
// When connections ended before QoS 0 messages were written, Flush returns
// ErrConnectionLost with the number of messages lost since the last Flush, after it has
// waited for the rest. Messages that the server refused do not fail Flush; their
// Delivery has the error.
func (c *Client) Flush(ctx context.Context) error {
	if ending := c.engine.endingCause(); ending != nil {
		return &requestError{"flush", "", true, ending}
	}
	return c.flush(ctx, true)
}

// flush is Flush. If it is not patient, it gives up when only messages are left that the
// server refuses for now.
func (c *Client) flush(ctx context.Context, patient bool) error {
	c.engine.mu.Lock()
	told := c.lossReported
	c.engine.mu.Unlock()
	if err := c.awaitOutstanding(ctx, patient); err != nil {
		return &requestError{"flush", "", true, err}
	}
	if err := c.awaitWritten(ctx); err != nil {
		return &requestError{"flush", "", true, err}
	}
	if n := c.takeLoss(told); n > 0 {
		return &requestError{"flush", "", true, fmt.Errorf("%d QoS 0 messages were not written: %w", n, ErrConnectionLost)}
	}
	return nil
}

// takeLoss returns how many QoS 0 messages were lost beyond those that had been told
// before, and counts them as told.
func (c *Client) takeLoss(told uint64) (lost uint64) {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	c.lossReported = c.engine.Sender.Lost()
	return c.lossReported - told
}

func (c *Client) awaitOutstanding(ctx context.Context, patient bool) error {
	c.engine.mu.Lock()
	f := &flush{seq: c.engine.Sender.LastSeq(), patient: patient, done: make(chan struct{})}
	waiting, _ := c.keeper.waitingLocked()
	if f.remaining = c.engine.Sender.Outstanding(f.seq) + waiting; f.remaining == 0 {
		c.engine.mu.Unlock()
		return nil
	}
	if !patient && c.engine.stuckLocked() {
		c.engine.mu.Unlock()
		return f.refused()
	}
	c.engine.flushes = append(c.engine.flushes, f)
	c.engine.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-c.done: // what stays in the Store is not completed one by one
		select {
		case <-f.done:
			return f.err
		default:
			return c.endFlush(f, c.Err())
		}
	case <-ctx.Done():
		return c.endFlush(f, context.Cause(ctx))
	}
}

// endFlush ends f because of err before everything is acknowledged.
func (c *Client) endFlush(f *flush, err error) error {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	c.engine.flushes.remove(f)
	return fmt.Errorf("%d messages not acknowledged: %w", f.remaining, err)
}

// awaitWritten waits until the last QoS 0 message is written, or its connection has
// ended, after which the engine knows what was lost. All others are acknowledged by
// now.
func (c *Client) awaitWritten(ctx context.Context) error {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	o := c.engine.outbox
	if o == nil {
		return nil
	}
	for last := o.lossyLocked(); c.engine.outbox == o && !o.writtenLocked(last); {
		progress := o.progressLocked()
		c.engine.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			c.engine.mu.Lock()
			return context.Cause(ctx)
		}
		c.engine.mu.Lock()
	}
	return nil
}
