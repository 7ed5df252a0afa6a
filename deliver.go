package mqtt

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// delivery is what the reader needs to hand over the messages of one read.
type delivery struct {
	subs    []*Subscription // of all messages
	ends    []int           // those of message i end at ends[i]
	run     []item          // messages in a row for one Subscription
	asleep  []*Subscription // consumers that wait and are not woken yet
	put     int             // messages queued since consumers were woken
	refused int             // messages that were dropped because they had to be refused
	hinted  bool            // the reader hears when it is about to wait; see line.Conn.Poll
	lender  lender
}

// deliver hands what one read brought to the Subscriptions. It runs on the
// reader and never waits for a consumer, except under the Block policy.
func (k *conn) deliver(ctx context.Context, received []session.Received) {
	if len(received) == 0 {
		return
	}
	c := k.client
	d := &k.delivery
	unwanted := c.route(d, received)
	var to *Subscription
	begin := 0
	for i, end := range d.ends {
		subs := d.subs[begin:end]
		begin = end
		o := c.origin(len(subs))
		for _, s := range subs {
			if s != to {
				k.flushRun(ctx, to)
				to = s
			}
			d.run = append(d.run, k.item(s, received[i:], o))
		}
	}
	k.flushRun(ctx, to)
	d.lender.end()
	clear(d.subs)
	if d.put += len(received); d.put >= manyPut {
		k.wakeConsumers()
		// Consumers that can run go first: a short queue is a warm one.
		runtime.Gosched()
	}
	for _, m := range unwanted {
		c.counters.unclaimed.Add(1)
		m.Ack() // [MQTT-4.5.0-2] also what nobody wants
	}
}

// route finds the Subscriptions of all messages under one lock, and returns the
// messages that have none and for which none may come.
func (c *Client) route(d *delivery, received []session.Received) (unwanted []*Message) {
	d.subs, d.ends = d.subs[:0], d.ends[:0]
	c.router.mu.Lock()
	defer c.router.mu.Unlock()
	for i := range received {
		begin := len(d.subs)
		d.subs = c.router.find(d.subs, &received[i].Publish)
		d.ends = append(d.ends, len(d.subs))
		if len(d.subs) == begin {
			m := ownedMessage(&received[i], c.origin(1))
			if !c.router.unclaimed.hold(m) {
				unwanted = append(unwanted, m)
			}
		}
	}
	return unwanted
}

// origin returns the origin of a message that goes to so many Subscriptions.
func (c *Client) origin(subscriptions int) *origin {
	if subscriptions <= 1 {
		return &c.sole
	}
	o := &origin{client: c, shared: true}
	o.claims.Store(int32(subscriptions))
	return o
}

// item makes the message that s gets of the first of received.
func (k *conn) item(s *Subscription, received []session.Received, o *origin) item {
	if s.options.Lend {
		if m, lease := k.delivery.lender.borrow(k.reader, &received[0], len(received), o); m != nil {
			return item{Message: m, lease: lease}
		}
	}
	if in := &received[0]; len(in.Publish.Payload) >= adopted && !o.shared {
		if _, ok := k.reader.Detach(); ok {
			m := new(Message)
			m.receive(in, in.Publish.Payload, o)
			m.own()
			return item{Message: m}
		}
	}
	return item{Message: ownedMessage(&received[0], o)}
}

// adopted is from which size on a payload is not copied: it keeps the buffer that
// was made for its packet.
const adopted = 64<<10 + 1

// flushRun queues the run of messages for s. It belongs to the reader.
func (k *conn) flushRun(ctx context.Context, s *Subscription) {
	d := &k.delivery
	d.lender.settle()
	for run := d.run; len(run) > 0; {
		n, result, episode, asleep := s.queue.push(run, d.hinted)
		run = run[n:]
		if asleep {
			d.asleep = append(d.asleep, s)
		}
		if episode {
			s.client.watchers.send(Event{Time: time.Now(), State: s.client.State(), Subscription: s,
				Err: fmt.Errorf("%w: subscription %.80q drops QoS 0 messages", ErrQueueFull, s.options.Filters[0].Filter)})
		}
		switch result {
		case pushClosed:
			if s.client.router.outlived(s) {
				s.client.router.giveBackLate(s, run)
			} else {
				dismiss(run)
			}
			run = nil
		case pushFull:
			k.wakeConsumers()
			select {
			case <-s.queue.room:
			case <-s.queue.over:
			case <-ctx.Done():
				s.queue.giveUp(run[0])
				run = run[1:]
			}
		}
	}
	clear(d.run)
	d.run = d.run[:0]
}

// manyPut is how many messages consumers may be left asleep for while more are at
// hand: waking them for each read would cost more than what they do with it.
const manyPut = 512

// wakeConsumers wakes those who were left asleep. The reader does it before it
// waits for anything.
func (k *conn) wakeConsumers() {
	d := &k.delivery
	for i, s := range d.asleep {
		d.asleep[i] = nil
		s.queue.wake()
	}
	d.asleep, d.put = d.asleep[:0], 0
}

// dismiss acknowledges messages that nobody wants, which must not hold up
// others.
func dismiss(items []item) {
	for _, m := range items {
		m.Ack()
		m.lease.release(1)
	}
}
