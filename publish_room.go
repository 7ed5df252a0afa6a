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
	var e notices
	var w *roomWaiter
	for {
		c.engine.mu.Lock()
		if err := c.engine.ending; err != nil {
			c.engine.mu.Unlock()
			return nil, err
		}
		if w != nil {
			c.engine.roomWaiters.leave(w) // it has its offer
		}
		room, err := c.engine.makeRoomLocked(c.cfg.WhenFull.policy(d.out.Publish.QoS), d.out.Publish.QoS, size)
		if room {
			c.engine.counters.published++
			c.engine.Sender.Submit(&d.out, now)
		}
		if room || err != nil {
			if direct && room && c.engine.conn.mayWrite(&d.out) && c.engine.conn.lead() {
				lead = c.engine.conn
			}
			c.engine.unlock(&e)
			return lead, err
		}
		if w == nil {
			w = &roomWaiter{size: size, offer: make(chan struct{}, 1)}
		}
		c.engine.roomWaiters.wait(w)
		c.engine.mu.Unlock()
		if err := c.awaitRoom(ctx, w); err != nil {
			return nil, err
		}
	}
}

// queueLimits bounds what waits to be sent.
type queueLimits struct{ messages, bytes int }

// makeRoomLocked applies the policy to a message for which there may be no room. When
// it returns neither room nor an error, the message has to wait.
func (e *engine) makeRoomLocked(policy FullPolicy, qos QoS, size int) (room bool, err error) {
	if e.hasRoomLocked(size) {
		return true, nil
	}
	switch policy {
	case FullBlock:
		return false, nil
	case FullDropOldest:
		if !e.hasRoomWithoutLocked(qos, size) {
			return false, ErrQueueFull // whatever is dropped
		}
		for e.Sender.DropOldest(qos > AtMostOnce, ErrQueueFull) {
			e.counters.queueDropped++
			if e.hasRoomLocked(size) {
				return true, nil
			}
		}
	case FullDropNewest:
		e.counters.queueDropped++
	}
	return false, ErrQueueFull
}

// hasRoomLocked says whether the queue takes a message.
func (e *engine) hasRoomLocked(size int) bool { return new(e.roomLocked(0, 0)).fits(size) }

// hasRoomWithoutLocked is hasRoomLocked for a queue without all messages that may be dropped for
// one of this class.
func (e *engine) hasRoomWithoutLocked(qos QoS, size int) bool {
	return new(e.roomLocked(e.Sender.Droppable(qos > AtMostOnce))).fits(size)
}

// roomLocked is what the queue takes without so many messages of so many bytes, beyond what
// has been promised. An empty queue takes any.
func (e *engine) roomLocked(messages, bytes int) room {
	m, n := e.Sender.Queued()
	m, n = m-messages+e.roomWaiters.messages, n-bytes+e.roomWaiters.bytes
	return room{empty: m == 0, messages: e.queue.messages - m, bytes: e.queue.bytes - n}
}

func (c *Client) awaitRoom(ctx context.Context, w *roomWaiter) error {
	select {
	case <-w.offer:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	case <-ctx.Done():
	}
	var e notices
	c.engine.mu.Lock()
	c.engine.roomWaiters.leave(w)
	c.engine.collectLocked(&e) // an offer that came too late for us, or for which we had stood in the way, is passed on
	c.engine.mu.Unlock()
	e.send()
	return queueFull(ctx)
}

// offerRoomLocked lets those waiters try again for whom there is room.
func (e *engine) offerRoomLocked(n *notices) {
	n.room = e.roomWaiters.offer(n.room, new(e.roomLocked(0, 0)))
}
