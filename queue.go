package mqtt

import (
	"sync"
	"sync/atomic"
)

// Overflow says what a Subscription does with a QoS 0 message for which its
// buffer has no room. QoS 1 and 2 messages stay with the server then; see
// SubscribeOptions.BufferBytes.
type Overflow uint8

// What to do when the buffer is full.
const (
	DropNewest Overflow = iota // drop the message that just came
	DropOldest                 // drop the QoS 0 message that has waited longest
	// Block stops reading from the connection until half of the buffer is free. It
	// slows the server down by TCP back-pressure, and with it everything else on
	// the connection: other subscriptions, acknowledgements, keep-alive. The
	// consumer must not wait for the server, by Publish, Subscribe, Unsubscribe or
	// Flush: the answer may be behind the message that finds no room.
	Block
)

// item is a message in a queue, with the lease under which it is lent, if any.
type item struct {
	*Message
	lease  *lease
	number uint64 // in the order in which messages are taken; 0: it was never taken
	size   int    // what it costs; 0: not known yet
}

// weigh sees to it that size is known.
func (m *item) weigh() {
	if m.size == 0 {
		m.size = m.weight()
	}
}

// queue holds the messages of one Subscription between the reader, which never
// waits for a consumer, and its consumers.
type queue struct {
	mu      sync.Mutex
	items   []item
	head    int  // items[:head] were taken
	lossy   load // QoS 0 messages in the queue
	firm    load // QoS 1 and 2 messages in the queue
	dropped uint64
	total   *atomic.Uint64 // dropped by all queues of the client
	losing  bool           // the last QoS 0 message was dropped: an episode is reported once
	closed  error
	final   bool // no more will come; closed when empty
	ended   bool // cut is closed
	kept    bool // closed, but what comes back stays for close to return

	holders []*holder
	out     int    // messages that holders have
	taken   uint64 // numbers items

	maxMessages, maxBytes int // of QoS 0 messages; maxBytes also of the others
	overflow              Overflow
	remote                remote

	waiting int  // consumers that found the queue empty and wait for ready
	blocked bool // the reader found it full and waits until it is half empty
	early   bool // there is more room, for nobody can receive before Subscribe returns

	ready chan struct{} // one token: there is something to take, or the end
	room  chan struct{} // one token: something was taken
	over  chan struct{} // closed when nothing comes out any more
	cut   chan struct{} // closed by close and fail: what consumers hold is not wanted either
}

// load is how much there is of one kind of messages.
type load struct{ messages, bytes int }

func (l *load) add(bytes int) { l.messages++; l.bytes += bytes }

func (l *load) remove(bytes int) { l.messages--; l.bytes -= bytes }

func (q *queue) init(o *SubscribeOptions, dropped *atomic.Uint64) {
	q.total = dropped
	q.maxMessages = defaultTo(o.BufferMessages, 4096)
	q.maxBytes = defaultTo(o.BufferBytes, 16<<20)
	q.overflow = o.Overflow
	q.ready = make(chan struct{}, 1)
	q.room = make(chan struct{}, 1)
	q.over = make(chan struct{})
	q.cut = make(chan struct{})
}

// pushed says what became of a message.
type pushed uint8

const (
	pushTaken   pushed = iota
	pushFull           // try again when there is room
	pushLeft           // the server has to keep it, and all that follow it
	pushDropped        // the message or older ones were dropped
	pushEpisode        // likewise, for the first time since there was room
	pushClosed         // nobody wants it any more
)

// push queues items in order. It says how many of them it has dealt with, what
// became of the next if that is not all, and whether an episode of drops has
// begun. Who puts off waking consumers has to wake them soon if they are still
// asleep.
func (q *queue) push(items []item, putOff bool) (n int, result pushed, episode, asleep bool) {
	q.mu.Lock()
	n = q.addAll(items)
	for ; n < len(items); n++ {
		result = q.add(items[n])
		if result == pushFull || result == pushClosed || result == pushLeft {
			break
		}
		episode = episode || result == pushEpisode
	}
	asleep = q.waiting > 0 && len(q.items) > q.head
	putOff = putOff && q.lossy.messages <= q.maxMessages/4 && q.lossy.bytes <= q.maxBytes/4
	q.mu.Unlock()
	if asleep && !putOff {
		q.wake()
		asleep = false
	}
	return n, result, episode, asleep
}

// accept queues a message that is held already, whatever the limits. It says whether
// somebody may still take it.
func (q *queue) accept(m *Message) bool {
	q.mu.Lock()
	if q.closed != nil || q.final {
		q.mu.Unlock()
		return false
	}
	size := m.weight()
	q.items = append(q.items, item{Message: m, size: size})
	if m.QoS == AtMostOnce {
		q.lossy.add(size)
	} else {
		q.firm.add(size)
	}
	q.mu.Unlock()
	token(q.ready)
	return true
}

// wake wakes a consumer that waits, who wakes the next if there is more to take.
func (q *queue) wake() { token(q.ready) }

// addAll queues items if there is room for all of them, which it says by their
// number.
func (q *queue) addAll(items []item) int {
	if q.closed != nil || q.final {
		return 0
	}
	lossy, firm := q.lossy, q.firm
	for i := range items {
		m := &items[i]
		m.weigh()
		if m.QoS == AtMostOnce {
			lossy.add(m.size)
		} else {
			firm.add(m.size)
		}
	}
	if lossy.messages > q.maxMessages || lossy.bytes > q.maxBytes ||
		firm.messages > q.firm.messages && !q.takes(firm) {
		return 0
	}
	q.items = append(q.items, items...)
	if lossy.messages > q.lossy.messages {
		q.losing = false
	}
	q.lossy, q.firm = lossy, firm
	return len(items)
}

func (q *queue) add(m item) pushed {
	if q.closed != nil || q.final {
		return pushClosed
	}
	m.weigh()
	if m.QoS > AtMostOnce {
		return q.addFirm(m)
	}
	result := pushTaken
	times := 1
	if q.early && q.overflow == Block {
		times = earlyRoom
	}
	if q.lossy.messages > 0 && (q.lossy.messages/times >= q.maxMessages || (q.lossy.bytes+m.size)/times > q.maxBytes) {
		if q.overflow == Block && !q.early {
			q.blocked = true
			return pushFull
		}
		result = pushDropped
		if !q.losing {
			q.losing = true
			result = pushEpisode
		}
		if q.overflow != DropOldest {
			q.drop(m)
			return result
		}
		q.dropOldest(m.size)
	} else {
		q.losing = false
	}
	q.items = append(q.items, m)
	q.lossy.add(m.size)
	return result
}

// earlyRoom is how many times the limits apply until Subscribe returns, under Block
// and to QoS 1 and 2 messages. What a server sends beyond, without a SUBACK, is
// dropped or stays with it.
const earlyRoom = 16

// dropOldest makes room for a QoS 0 message of size bytes. Messages above QoS 0
// stay.
func (q *queue) dropOldest(size int) {
	for i := q.head; q.lossy.messages > 0 && (q.lossy.messages >= q.maxMessages || q.lossy.bytes+size > q.maxBytes); {
		switch m := q.items[i]; {
		case m.QoS > AtMostOnce:
			i++
		case i == q.head:
			q.drop(q.shift())
			i = q.head
		default:
			// Those before it move up: they are few, those behind it may be many.
			copy(q.items[q.head+1:i+1], q.items[q.head:i])
			q.items[q.head] = item{}
			q.head++
			i++
			q.lossy.remove(m.size)
			q.drop(m)
			i -= q.tidy()
		}
	}
}

// drop counts a message that is lost.
func (q *queue) drop(m item) {
	q.dropped++
	q.total.Add(1)
	m.lease.release(1)
}

// giveUp drops a message for which the reader no longer waits: its connection
// has ended.
func (q *queue) giveUp(m item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop(m)
}

// shift takes out the head, and keeps the slice from growing forever.
func (q *queue) shift() item {
	m := q.items[q.head]
	q.items[q.head] = item{}
	q.head++
	if m.QoS == AtMostOnce {
		q.lossy.remove(m.size)
	} else {
		q.firm.remove(m.size)
	}
	q.tidy()
	return m
}

// tidy gives back the places of items that are gone. It returns by how many places the
// others have moved.
func (q *queue) tidy() (moved int) {
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > keptItems {
			q.items = nil // a burst is over
		}
	case q.head >= 1024 && 2*q.head >= len(q.items):
		moved = q.head
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return moved
}

// pop takes messages into dst, as many as there are and fit. Without any, err
// says whether there will never be one; if there may be, the caller counts as
// waiting until it calls woken.
func (q *queue) pop(dst []item) (n int, err error) { return q.popFor(nil, 0, dst) }

// popFor is pop for h, which has handed over so many of the messages that it took
// before. Without h a message counts as handed over at once.
func (q *queue) popFor(h *holder, over int, dst []item) (n int, err error) {
	return q.popAs(h, over, dst, false)
}

// popAs is popFor for one who has the messages settled: they are acknowledged before
// the queue can end, and nobody has one that is not.
func (q *queue) popAs(h *holder, over int, dst []item, settled bool) (n int, err error) {
	q.mu.Lock()
	if h != nil {
		clear(h.batch[:h.count])
		h.count = 0
		q.settle(h, over)
	}
	if q.closed != nil {
		err = q.closed
		q.mu.Unlock()
		token(q.ready) // for the next consumer to see the end
		return 0, err
	}
	if len(q.holders) == 0 || q.share(h) {
		n = q.takeFor(h, dst)
	}
	if settled {
		for _, m := range dst[:n] {
			if m.QoS > AtMostOnce {
				m.receipt.settle(Success)
			}
		}
	}
	if n == 0 {
		q.waiting++
		q.mu.Unlock()
		return 0, nil
	}
	q.finishIfDrained()
	more := q.waiting > 0 && (q.head < len(q.items) || q.closed != nil)
	resume := q.blocked && q.lossy.messages <= q.maxMessages/2 && q.lossy.bytes <= q.maxBytes/2
	if resume {
		q.blocked = false
	}
	starved, fetch := q.relieve()
	q.mu.Unlock()
	if more {
		token(q.ready)
	}
	if resume || starved {
		token(q.room)
	}
	if fetch != nil {
		fetch()
	}
	return n, nil
}

// takeFor takes messages into dst for h. Called with q.mu held.
func (q *queue) takeFor(h *holder, dst []item) (n int) {
	if len(q.holders) > 1 {
		dst = dst[:1] // the others want some too
	}
	for n < len(dst) && q.head < len(q.items) {
		dst[n] = q.shift()
		if dst[n].number == 0 {
			q.taken++
			dst[n].number = q.taken
		}
		n++
	}
	if h != nil {
		h.out += n
		q.out += n
		if h.batch != nil {
			h.count = int64(n)
			h.next.Store(0)
		}
	}
	return n
}

// keptItems is how many places an empty queue keeps for the next burst.
const keptItems = 2048

// begin says that there may be consumers from now on.
func (q *queue) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.early = false
}

// woken says that a consumer no longer waits.
func (q *queue) woken() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting--
}

// close ends the queue with err and returns the messages nobody took.
func (q *queue) close(err error) []item {
	q.mu.Lock()
	left := q.items[q.head:]
	q.items, q.head, q.lossy, q.firm = nil, 0, load{}, load{}
	q.kept = false
	q.end(err)
	q.mu.Unlock()
	token(q.ready)
	return left
}

// fail ends the queue with err. What nobody took, and what comes back, stays for
// close to return.
func (q *queue) fail(err error) {
	q.mu.Lock()
	q.kept = q.closed == nil
	q.end(err)
	q.mu.Unlock()
	token(q.ready)
}

// end is called with q.mu held.
func (q *queue) end(err error) {
	q.finish(err)
	if !q.ended {
		q.ended = true
		close(q.cut)
	}
}

// drain lets consumers take what is there and then ends the queue.
func (q *queue) drain() {
	q.mu.Lock()
	q.final = true
	q.finishIfDrained()
	q.mu.Unlock()
	token(q.ready)
}

// finish is called with q.mu held.
func (q *queue) finish(err error) {
	if q.closed == nil {
		q.closed = err
		close(q.over)
	}
}

func (q *queue) err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// refuse counts a message that came and cannot be handed to anybody.
func (q *queue) refuse() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped++
}

// countLost counts a message that the server keeps in vain.
func (q *queue) countLost() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped++
	q.total.Add(1)
}

func (q *queue) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// token leaves a token in ch unless there is one.
func token(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
