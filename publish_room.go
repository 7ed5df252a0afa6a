package mqtt

import (
	"context"
	"slices"
	"time"
)

// submit hands d to the engine as soon as the queue has room for it. With direct the
// caller is about to wait for the server; he has to write to lead unless that is nil.
func (c *Client) submit(ctx context.Context, d *Delivery, direct bool) (lead *conn, err error) {
	var now time.Time
	if !d.out.Expires.IsZero() {
		now = time.Now()
	}
	size := len(d.out.Publish.Topic) + len(d.out.Publish.Payload)
	var e effects
	for {
		c.mu.Lock()
		if err := c.ending; err != nil {
			c.mu.Unlock()
			return nil, err
		}
		room, err := c.makeRoom(d.out.Publish.QoS, size)
		if room {
			c.counters.published++
			c.engine.Sender.Submit(&d.out, now)
		}
		if room || err != nil {
			if direct && room && c.conn.mayWrite(&d.out) && c.conn.lead() {
				lead = c.conn
			}
			c.settle(&e)
			c.mu.Unlock()
			e.perform()
			return lead, err
		}
		w := make(chan struct{}, 1)
		c.roomWaiters = append(c.roomWaiters, w)
		c.mu.Unlock()
		if err := c.awaitRoom(ctx, w); err != nil {
			return nil, err
		}
	}
}

// makeRoom applies the policy to a message for which there may be no room. When
// it returns neither room nor an error, the message has to wait. Called with c.mu
// held.
func (c *Client) makeRoom(qos QoS, size int) (room bool, err error) {
	if c.hasRoom(size) {
		return true, nil
	}
	switch c.cfg.WhenFull.policy(qos) {
	case FullBlock:
		return false, nil
	case FullDropOldest:
		for c.engine.Sender.DropOldest(qos > AtMostOnce, ErrQueueFull) {
			c.counters.queueDropped++
			if c.hasRoom(size) {
				return true, nil
			}
		}
	case FullDropNewest:
		c.counters.queueDropped++
	}
	return false, ErrQueueFull
}

// hasRoom says whether the queue takes a message. Called with c.mu held. An
// empty queue takes any: a message larger than the limit must be possible.
func (c *Client) hasRoom(size int) bool {
	messages, n := c.engine.Sender.Queued()
	return messages == 0 || messages < c.cfg.QueueMessages && n+size <= c.cfg.QueueBytes
}

func (c *Client) awaitRoom(ctx context.Context, w chan struct{}) error {
	select {
	case <-w:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	case <-ctx.Done():
	}
	var e effects
	c.mu.Lock()
	if i := slices.Index(c.roomWaiters, w); i >= 0 {
		c.roomWaiters = slices.Delete(c.roomWaiters, i, i+1)
	} else {
		c.settle(&e) // the offer came too late for us; pass it on
	}
	c.mu.Unlock()
	e.perform()
	return queueFull(ctx)
}

// offerRoom lets as many waiters try again as there are free places. Called
// with c.mu held.
func (c *Client) offerRoom(e *effects) {
	messages, n := c.engine.Sender.Queued()
	if messages > 0 && n >= c.cfg.QueueBytes {
		return
	}
	free := min(max(c.cfg.QueueMessages-messages, 0), len(c.roomWaiters))
	e.room = append(e.room, c.roomWaiters[:free]...)
	c.roomWaiters = slices.Delete(c.roomWaiters, 0, free)
}
