package mqtt

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// deliver hands what one read brought to the Subscriptions. It runs on the
// reader and never waits for a consumer, except under the Block policy.
func (c *Client) deliver(ctx context.Context, received []session.Received) {
	var targets []*Subscription
	for i := range received {
		targets = c.deliverOne(ctx, &received[i], targets[:0])
	}
}

func (c *Client) deliverOne(ctx context.Context, in *session.Received, targets []*Subscription) []*Subscription {
	c.router.mu.Lock()
	targets = c.router.find(targets, &in.Publish)
	if len(targets) == 0 {
		m := c.message(in)
		held := c.router.unclaimed.hold(m)
		c.router.mu.Unlock()
		if !held {
			c.counters.unclaimed.Add(1)
			m.Ack() // [MQTT-4.5.0-2] also what nobody wants
		}
		return targets
	}
	c.router.mu.Unlock()
	var claims *atomic.Int32
	if len(targets) > 1 {
		claims = new(atomic.Int32)
		claims.Store(int32(len(targets)))
	}
	for _, s := range targets {
		m := c.message(in)
		m.receipt.claims = claims
		s.accept(ctx, m)
	}
	return targets
}

func (c *Client) message(in *session.Received) *Message {
	m := newMessage(&in.Publish)
	m.receipt.client, m.receipt.token = c, in.Token
	return m
}

// accept queues m. It belongs to the reader.
func (s *Subscription) accept(ctx context.Context, m *Message) {
	for {
		switch s.queue.push(m) {
		case pushClosed:
			m.Ack() // nobody wants it, and it must not hold up others
			return
		case pushEpisode:
			s.client.counters.dropped.Add(1)
			s.client.watchers.send(Event{Time: time.Now(), State: s.client.State(), Subscription: s,
				Err: fmt.Errorf("%w: subscription %.80q drops QoS 0 messages", ErrQueueFull, s.options.Filters[0].Filter)})
			return
		case pushDropped:
			s.client.counters.dropped.Add(1)
			return
		case pushTaken:
			return
		case pushFull:
		}
		select {
		case <-s.queue.room:
		case <-s.queue.over:
		case <-ctx.Done():
			return
		}
	}
}
