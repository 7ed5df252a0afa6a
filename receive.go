package mqtt

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/internal/brief"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// receiver hands the messages that one connection reads to the Subscriptions. It
// belongs to the goroutine that reads, apart from what says otherwise.
type receiver struct {
	inbox  *inbox
	reader *wire.Reader
	paused atomic.Bool // it waits for space; nothing that the server sends is noticed

	hinted  bool // it hears when it is about to wait; see line.Conn.Poll
	refused int  // messages that were dropped because they had to be refused

	*handover // nil: no message has come yet
}

// handover is what a receiver has of the messages on their way.
type handover struct {
	subs  []*Subscription // of all messages of one read
	ends  []int           // those of message i end at ends[i]
	holds []holdID        // one for each of subs
	// narrowed has which of subs asked for less than the server sends, by index.
	narrowed map[int]narrower
	onServer []session.Token // that stay with the server, for nobody has claimed them
	run      []item          // messages in a row for one Subscription
	asleep   []*Subscription // consumers that wait and are not woken yet
	put      int             // messages queued since consumers were woken
	lender   lender
	only     *Subscription // that got all messages of the last batch, at QoS 0; nil: there is none
	reads    *Subscription // whose consumer reads; nil: none
}

// begin comes first: d hands over what reader reads. With hinted somebody calls rest
// before the reader waits for the network.
func (d *receiver) begin(reader *wire.Reader, hinted bool) { d.reader, d.hinted = reader, hinted }

// waiting reports whether d waits for space. Anyone may ask.
func (d *receiver) waiting() bool { return d.paused.Load() }

// deliver hands what one read brought to the Subscriptions. It never waits for a
// consumer, except under the Block policy and, for a moment, for space; see awaitSpace.
func (d *receiver) deliver(ctx context.Context, received []session.Received) {
	if len(received) == 0 {
		return
	}
	if d.handover == nil {
		d.handover = new(handover)
	}
	h := d.inbox.holds
	unwanted := d.findAll(received)
	if len(d.onServer) > 0 {
		d.inbox.leaveOnServer(d.onServer)
	}
	d.place(received)
	d.only = d.onlyOne(received)
	var to *Subscription
	begin := 0
	for i, end := range d.ends {
		subs := d.subs[begin:end]
		if !received[i].Token.IsZero() {
			d.disclaimHolds(begin, end)
		}
		if len(subs) > 1 && !received[i].Token.IsZero() {
			d.flushRun(ctx, to)
			to = nil
			if !d.awaitSpaceForHolders(ctx, begin, end, &received[i]) {
				begin = end
				continue
			}
		}
		for j, s := range subs {
			if s != to {
				d.flushRun(ctx, to)
				to = s
			}
			it := d.item(s, received[i:], h.acknowledger(d.holds[begin+j]), len(subs) > 1)
			d.takeDown(begin+j, it.Message)
			d.run = append(d.run, it)
		}
		begin = end
	}
	d.flushRun(ctx, to)
	d.endLending()
	clear(d.subs)
	d.put += len(received)
	d.inbox.dropUnwanted(unwanted)
	d.inbox.tellSaturated()
}

// onlyOne returns the Subscription that gets all messages, if there is one and they are at
// QoS 0. (Where a server waits for acknowledgements nothing is won by reading late.)
func (d *receiver) onlyOne(received []session.Received) *Subscription {
	if len(d.subs) != len(received) {
		return nil
	}
	for i, s := range d.subs {
		if s != d.subs[0] || !received[i].Token.IsZero() {
			return nil
		}
	}
	return d.subs[0]
}

// catchUp comes after deliver.
func (d *receiver) catchUp(from source) bool {
	if d.handover == nil {
		return false
	}
	only := d.only
	d.only = nil // it may end long before the next message comes
	if len(d.asleep) == 0 {
		return false
	}
	if from != nil && d.put >= fewPut && len(d.asleep) == 1 && d.asleep[0] == only {
		d.reads = only
		if d.reads.queue.pass(from) {
			d.wakeConsumers()
			return true
		}
		d.reads = nil
	}
	if d.put >= manyPut {
		d.wakeConsumers()
		// Consumers that can run go first: a short queue is a warm one.
		runtime.Gosched()
	}
	return false
}

// retake takes back what catchUp has passed.
func (d *receiver) retake() {
	d.reads.queue.retake()
	d.reads = nil
}

// take hands over what the consumer of d.reads has read. Nothing of that waits.
func (d *receiver) take(received []session.Received) bool {
	s := d.reads
	if !d.findOwn(received, s) || !s.queue.takes(received) {
		return false
	}
	d.place(received)
	h := d.inbox.holds
	for i := range received {
		if !received[i].Token.IsZero() {
			d.disclaimHolds(i, i+1)
		}
		it := d.item(s, received[i:], h.acknowledger(d.holds[i]), false)
		d.takeDown(i, it.Message)
		d.run = append(d.run, it)
	}
	d.lender.countBorrowed()
	if !s.queue.pushOwn(d.run) {
		s.inbox.afterEnd(s, d.run)
	}
	clear(d.run)
	d.run = d.run[:0]
	d.endLending()
	clear(d.subs)
	d.inbox.tellSaturated()
	return true
}

// findOwn is findAll where all messages are for s alone. If not, it returns false.
func (d *receiver) findOwn(received []session.Received, s *Subscription) bool {
	d.subs, d.ends, d.onServer = d.subs[:0], d.ends[:0], d.onServer[:0]
	r := d.inbox.router
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(d.narrowed)
	for i := range received {
		d.subs = r.findLocked(d.subs, &received[i].Publish)
		if len(d.subs) != i+1 || d.subs[i] != s {
			return false
		}
		d.ends = append(d.ends, i+1)
		if r.mixed > 0 {
			d.narrowLocked(i, &received[i])
		}
	}
	return true
}

// place notes which Subscriptions hold the messages of one read. It takes one lock for all of them.
func (d *receiver) place(received []session.Received) {
	h := d.inbox.holds
	n := len(d.subs)
	d.holds = slices.Grow(d.holds[:0], n)[:n]
	clear(d.holds)
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
			d.holds[begin] = h.place(&d.subs[begin].holds, in.Token, bytes, share, now)
		}
	}
	if locked {
		h.mu.Unlock()
	}
}

// findAll finds the Subscriptions of all messages under one lock, and returns the
// messages that have none and for which none may come.
func (d *receiver) findAll(received []session.Received) (unwanted []*Message) {
	d.subs, d.ends, d.onServer = d.subs[:0], d.ends[:0], d.onServer[:0]
	r := d.inbox.router
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(d.narrowed)
	ended := r.closed != nil
	for i := range received {
		begin := len(d.subs)
		d.subs = r.findLocked(d.subs, &received[i].Publish)
		d.ends = append(d.ends, len(d.subs))
		if r.mixed > 0 {
			d.narrowLocked(begin, &received[i])
		}
		if len(d.subs) > begin {
			continue
		}
		if ended { // what nobody gets stays with the server
			if t := received[i].Token; !t.IsZero() {
				d.onServer = append(d.onServer, t)
			}
		} else {
			m, leave := d.inbox.unclaimed.offer(&received[i])
			if m != nil {
				unwanted = append(unwanted, m)
			}
			if leave {
				d.onServer = append(d.onServer, received[i].Token)
			}
		}
	}
	return unwanted
}

// item makes the message that s gets of the first of received.
func (d *receiver) item(s *Subscription, received []session.Received, a acknowledger, several bool) item {
	size := received[0].Publish.Cost()
	if s.options.Lend {
		if m, lease := d.lender.borrow(d.reader, &received[0], len(received), a); m != nil {
			return item{Message: m, lease: lease, size: size}
		}
	}
	if in := &received[0]; len(in.Publish.Payload) >= adopted && !several {
		if _, ok := d.reader.Detach(); ok {
			m := new(Message)
			m.fill(in, in.Publish.Payload, a)
			m.own(false)
			return item{Message: m, size: size}
		}
	}
	return item{Message: ownedMessage(&received[0], a, several), size: size}
}

// adopted is from which size on a payload is not copied: it keeps the buffer that
// was made for its packet.
const adopted = 64<<10 + 1

// flushRun queues the run of messages for s.
func (d *receiver) flushRun(ctx context.Context, s *Subscription) {
	d.lender.countBorrowed()
	for run := d.run; len(run) > 0; {
		n, result, episode, asleep := s.queue.push(run, d.hinted)
		run = run[n:]
		if asleep && (len(d.asleep) == 0 || d.asleep[len(d.asleep)-1] != s) {
			d.asleep = append(d.asleep, s)
		}
		if episode {
			s.inbox.report(s, fmt.Errorf("%w: subscription %.80q drops QoS 0 messages", ErrQueueFull, s.name()), 0)
		}
		switch result {
		case pushClosed:
			s.inbox.afterEnd(s, run)
			run = nil
		case pushLeft:
			d.leaveItem(s, run[0])
			run = run[1:]
		case pushFull:
			if !d.awaitSpaceFor(ctx, s, run[0]) {
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

// fewPut is from how many messages on a consumer that waits for them is to read what
// follows.
const fewPut = 32

// rest is called before the reader waits for the network, and when it ends.
func (d *receiver) rest() {
	if d.handover != nil {
		d.lender.finishRead()
		d.wakeConsumers()
	}
}

// wakeConsumers wakes those that were left asleep. The reader does it before it
// waits for anything.
func (d *receiver) wakeConsumers() {
	if d.handover == nil {
		return
	}
	for i, s := range d.asleep {
		d.asleep[i] = nil
		s.queue.wake()
	}
	d.asleep, d.put = d.asleep[:0], 0
}

// tellRefused counts messages that were dropped because they had to be refused, and
// tells those who watch and the Subscriptions they were for.
func (d *receiver) tellRefused(list []session.Refused) {
	b := d.inbox
	b.counters.dropped.refused.Add(uint64(len(list)))
	for _, r := range list {
		b.router.mu.Lock()
		subs := b.router.findLocked(nil, &wire.Publish{Topic: r.Topic})
		b.router.mu.Unlock()
		for _, s := range subs {
			s.queue.countRefused()
		}
		if d.refused++; d.refused > maxTold {
			continue
		}
		err := fmt.Errorf("dropped a message on topic %.80q: %w", r.Topic, r.Err)
		b.logger.Warn("mqtt message refused", "topic", brief.Text(r.Topic), "cause", r.Err)
		if len(subs) == 0 {
			b.report(nil, err, 0)
		}
		for _, s := range subs {
			b.report(s, err, 0)
		}
	}
}

// maxTold is of how many such messages of one connection it is told: a server may send
// nothing else.
const maxTold = 64
