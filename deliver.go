package mqtt

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// delivery is what the reader needs to hand over the messages of one read.
type delivery struct {
	client *Client
	reader *wire.Reader
	paused atomic.Bool // the reader waits for room; nothing that the server sends is noticed

	subs    []*Subscription // of all messages
	ends    []int           // those of message i end at ends[i]
	tickets []ticket        // one for each of subs
	// narrowed has who of subs asked for less than the server sends, by index.
	narrowed map[int]narrower
	left     []session.Token // that stay with the server, for nobody has claimed them
	run      []item          // messages in a row for one Subscription
	asleep   []*Subscription // consumers that wait and are not woken yet
	put      int             // messages queued since consumers were woken
	refused  int             // messages that were dropped because they had to be refused
	hinted   bool            // the reader hears when it is about to wait; see line.Conn.Poll
	lender   lender
}

func (d *delivery) begin(r *wire.Reader, hinted bool) { d.reader, d.hinted = r, hinted }

func (d *delivery) waiting() bool { return d.paused.Load() }

// deliver hands what one read brought to the Subscriptions. It runs on the
// reader and never waits for a consumer, except under the Block policy and, for a
// moment, for room; see awaitRoom.
func (d *delivery) deliver(ctx context.Context, received []session.Received) {
	if len(received) == 0 {
		return
	}
	c := d.client
	unwanted := c.route(d, received)
	c.leaveUnclaimed(d.left)
	d.place(&c.holds, received)
	var to *Subscription
	begin := 0
	for i, end := range d.ends {
		subs := d.subs[begin:end]
		if !received[i].Token.IsZero() {
			d.disclaimTickets(&c.holds, begin, end)
		}
		if len(subs) > 1 && !received[i].Token.IsZero() {
			d.flushRun(ctx, to)
			to = nil
			if !d.roomForFirm(ctx, begin, end, &received[i]) {
				begin = end
				continue
			}
		}
		for j, s := range subs {
			if s != to {
				d.flushRun(ctx, to)
				to = s
			}
			it := d.item(s, received[i:], c.holds.receipt(d.tickets[begin+j]), len(subs) > 1)
			d.takeDown(begin+j, it.Message)
			d.run = append(d.run, it)
		}
		begin = end
	}
	d.flushRun(ctx, to)
	d.lender.end()
	clear(d.subs)
	if d.put += len(received); d.put >= manyPut {
		d.wakeConsumers()
		// Consumers that can run go first: a short queue is a warm one.
		runtime.Gosched()
	}
	c.dropUnwanted(unwanted)
}

// place notes who holds the messages of one read. It takes one lock for all of them.
func (d *delivery) place(h *holds, received []session.Received) {
	n := len(d.subs)
	d.tickets = slices.Grow(d.tickets[:0], n)[:n]
	clear(d.tickets)
	var now time.Duration
	locked := false
	begin := 0
	for i, end := range d.ends {
		in := &received[i]
		if in.Token.IsZero() || begin == end {
			begin = end
			continue
		}
		if !locked {
			locked = true
			now = time.Since(h.start)
			h.mu.Lock()
		}
		bytes, share := in.Publish.Cost(), uint32(0)
		if end-begin > 1 {
			share = h.share(end - begin)
		}
		for ; begin < end; begin++ {
			d.tickets[begin] = h.place(&d.subs[begin].shelf, in.Token, bytes, share, now)
		}
	}
	if locked {
		h.mu.Unlock()
	}
}

// route finds the Subscriptions of all messages under one lock, and returns the
// messages that have none and for which none may come.
func (c *Client) route(d *delivery, received []session.Received) (unwanted []*Message) {
	d.subs, d.ends = d.subs[:0], d.ends[:0]
	c.router.mu.Lock()
	defer c.router.mu.Unlock()
	clear(d.narrowed)
	ended := c.router.closed != nil
	u := &c.router.unclaimed
	before := len(u.left)
	for i := range received {
		begin := len(d.subs)
		d.subs = c.router.find(d.subs, &received[i].Publish)
		d.ends = append(d.ends, len(d.subs))
		if c.router.mixed > 0 {
			c.router.narrow(d, begin, &received[i])
		}
		// At the end of the client what nobody gets stays with the server.
		if len(d.subs) == begin && !ended {
			if m := c.holdUnclaimed(&received[i]); m != nil {
				unwanted = append(unwanted, m)
			}
		}
	}
	d.left = append(d.left[:0], u.left[before:]...)
	return unwanted
}

// item makes the message that s gets of the first of received.
func (d *delivery) item(s *Subscription, received []session.Received, r receipt, several bool) item {
	size := received[0].Publish.Cost()
	if s.options.Lend {
		if m, lease := d.lender.borrow(d.reader, &received[0], len(received), r); m != nil {
			return item{Message: m, lease: lease, size: size}
		}
	}
	if in := &received[0]; len(in.Publish.Payload) >= adopted && !several {
		if _, ok := d.reader.Detach(); ok {
			m := new(Message)
			m.receive(in, in.Publish.Payload, r)
			m.own(false)
			return item{Message: m, size: size}
		}
	}
	return item{Message: ownedMessage(&received[0], r, several), size: size}
}

// adopted is from which size on a payload is not copied: it keeps the buffer that
// was made for its packet.
const adopted = 64<<10 + 1

// flushRun queues the run of messages for s. It belongs to the reader.
func (d *delivery) flushRun(ctx context.Context, s *Subscription) {
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
			d.afterEnd(s, run)
			run = nil
		case pushLeft:
			d.leaveItem(s, run[0])
			run = run[1:]
		case pushFull:
			if !d.waitFor(ctx, s, run[0]) {
				run = run[1:]
			}
		}
	}
	clear(d.run)
	d.run = d.run[:0]
}

// afterEnd looks after messages for a Subscription that has ended.
func (d *delivery) afterEnd(s *Subscription, run []item) {
	switch {
	case s.client.router.isClosed():
		for _, m := range run {
			d.keepBack(s, m)
		}
	case s.client.router.outlived(s):
		s.client.router.giveBackLate(s, run)
	default:
		dismiss(run)
	}
}

// keepBack looks after a message that came after the end of the client.
func (d *delivery) keepBack(s *Subscription, m item) {
	if m.QoS == AtMostOnce {
		s.queue.giveUp(m)
		return
	}
	m.lease.release(1)
}

// waitFor waits for room for m, and gives it up when that takes too long.
func (d *delivery) waitFor(ctx context.Context, s *Subscription, m item) bool {
	if m.QoS > AtMostOnce {
		if d.awaitRoom(ctx, s) {
			return true
		}
		d.leaveItem(s, m)
		return false
	}
	d.wakeConsumers()
	select {
	case <-s.queue.room:
	case <-s.queue.over:
	case <-ctx.Done():
		s.queue.giveUp(m)
		return false
	}
	return true
}

// leaveItem leaves a message that was made already.
func (d *delivery) leaveItem(s *Subscription, m item) {
	d.leaveMessage(s, m.receipt)
	m.lease.release(1)
}

// roomForAll waits until all have room for a message: either all get it or nobody,
// because it is acknowledged for all of them. It belongs to the reader.
func (d *delivery) roomForAll(ctx context.Context, subs []*Subscription, tickets []ticket, in *session.Received) bool {
	size := in.Publish.Cost()
	for _, s := range subs {
		result := s.queue.roomFor(size)
		for result == pushFull && d.awaitRoom(ctx, s) {
			result = s.queue.roomFor(size)
		}
		if result == pushTaken {
			continue
		}
		h := &d.client.holds
		last := len(tickets) - 1
		for _, t := range tickets[:last] {
			h.receipt(t).leave()
		}
		d.leaveMessage(s, h.receipt(tickets[last]))
		return false
	}
	return true
}

// manyPut is how many messages consumers may be left asleep for while more are at
// hand: waking them for each read would cost more than what they do with it.
const manyPut = 512

// wakeConsumers wakes those who were left asleep. The reader does it before it
// waits for anything.
func (d *delivery) wakeConsumers() {
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
