package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// targets are the Subscriptions of the messages of one read: those of message
// i end at ends[i].
type targets struct {
	subs []*Subscription
	ends []int
}

// deliver hands what one read brought to the Subscriptions. It runs on the
// reader and never waits for a consumer, except under the Block policy.
func (k *conn) deliver(ctx context.Context, received []session.Received) {
	if len(received) == 0 {
		return
	}
	c := k.client
	unwanted := c.route(&k.targets, received)
	k.slab.begin(len(received))
	begin := 0
	for i, end := range k.targets.ends {
		k.hand(ctx, &received[i], k.targets.subs[begin:end])
		begin = end
	}
	clear(k.targets.subs)
	for _, m := range unwanted {
		c.counters.unclaimed.Add(1)
		m.Ack() // [MQTT-4.5.0-2] also what nobody wants
	}
}

// route finds the Subscriptions of all messages under one lock, and returns the
// messages that have none and for which none may come.
func (c *Client) route(t *targets, received []session.Received) (unwanted []*Message) {
	t.subs, t.ends = t.subs[:0], t.ends[:0]
	c.router.mu.Lock()
	defer c.router.mu.Unlock()
	for i := range received {
		begin := len(t.subs)
		t.subs = c.router.find(t.subs, &received[i].Publish)
		t.ends = append(t.ends, len(t.subs))
		if len(t.subs) == begin {
			m := c.message(&received[i], bytes.Clone(received[i].Publish.Payload))
			if !c.router.unclaimed.hold(m) {
				unwanted = append(unwanted, m)
			}
		}
	}
	return unwanted
}

// hand gives each Subscription a message of its own.
func (k *conn) hand(ctx context.Context, in *session.Received, subs []*Subscription) {
	var claims *atomic.Int32
	if len(subs) > 1 {
		claims = new(atomic.Int32)
		claims.Store(int32(len(subs)))
	}
	for _, s := range subs {
		m := k.client.message(in, k.slab.clone(in.Publish.Payload))
		m.receipt.claims = claims
		s.accept(ctx, m)
	}
}

func (c *Client) message(in *session.Received, payload []byte) *Message {
	m := newMessage(&in.Publish, payload)
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
			s.client.watchers.send(Event{Time: time.Now(), State: s.client.State(), Subscription: s,
				Err: fmt.Errorf("%w: subscription %.80q drops QoS 0 messages", ErrQueueFull, s.options.Filters[0].Filter)})
			return
		case pushTaken, pushDropped:
			return
		case pushFull:
		}
		select {
		case <-s.queue.room:
		case <-s.queue.over:
		case <-ctx.Done():
			s.queue.giveUp()
			return
		}
	}
}
