package mqtt

import (
	"context"
	"time"
)

// submit hands d to the engine as soon as the queue has room for it. With direct the
// caller is about to wait for the server; he has to write to lead unless that is nil.
func (c *Client) submit(ctx context.Context, d *Delivery, direct bool) (lead *conn, err error) {
	var now time.Time
	if !d.out.Expires.IsZero() {
		now = time.Now()
	}
	size := d.out.Publish.Cost()
	var e effects
	var w *roomWaiter
	for {
		c.mu.Lock()
		if err := c.ending; err != nil {
			c.mu.Unlock()
			return nil, err
		}
		if w != nil {
			c.roomWaiters.leave(w) // it has its offer
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
		if w == nil {
			w = &roomWaiter{size: size, offer: make(chan struct{}, 1)}
		}
		c.roomWaiters.wait(w)
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
		if !c.hasRoomWithout(qos, size) {
			return false, ErrQueueFull // whatever is dropped
		}
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

// hasRoom says whether the queue takes a message. Called with c.mu held.
func (c *Client) hasRoom(size int) bool { return new(c.room(0, 0)).fits(size) }

// hasRoomWithout is hasRoom for a queue without all messages that may be dropped for
// one of this class.
func (c *Client) hasRoomWithout(qos QoS, size int) bool {
	return new(c.room(c.engine.Sender.Droppable(qos > AtMostOnce))).fits(size)
}

// room is what the queue takes without so many messages of so many bytes, beyond what
// has been promised. An empty queue takes any.
func (c *Client) room(messages, bytes int) room {
	m, n := c.engine.Sender.Queued()
	m, n = m-messages+c.roomWaiters.messages, n-bytes+c.roomWaiters.bytes
	return room{empty: m == 0, messages: c.cfg.QueueMessages - m, bytes: c.cfg.QueueBytes - n}
}

func (c *Client) awaitRoom(ctx context.Context, w *roomWaiter) error {
	select {
	case <-w.offer:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	case <-ctx.Done():
	}
	var e effects
	c.mu.Lock()
	c.roomWaiters.leave(w)
	c.settle(&e) // an offer that came too late for us, or for which we had stood in the way, is passed on
	c.mu.Unlock()
	e.perform()
	return queueFull(ctx)
}

// offerRoom lets those waiters try again for whom there is room. Called with c.mu held.
func (c *Client) offerRoom(e *effects) {
	e.room = c.roomWaiters.offer(e.room, new(c.room(0, 0)))
}
