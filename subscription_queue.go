package mqtt

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/session"
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

// owned returns the message of m for a consumer that keeps it: one that was lent is
// copied.
func (m *item) owned() *Message {
	if m.lease == nil {
		return m.Message
	}
	lent := m.Message
	m.Message = lent.Clone()
	m.acknowledger = lent.acknowledger
	m.lease.release(1)
	m.lease = nil
	return m.Message
}

// releaseAll gives back the leases of items that no consumer gets, and leaves the
// messages unacknowledged.
func releaseAll(items []item) {
	for _, it := range items {
		it.lease.release(1)
	}
}

// dismiss acknowledges messages that no consumer wants, so that they hold up no others.
func dismiss(items []item) {
	for _, m := range items {
		m.Ack()
		m.lease.release(1)
	}
}

// queue holds the messages of one Subscription between the reader, which adds them, and
// its consumers. mu guards all fields but the channels. Inside it only the lock of
// holds is taken. Signals to the channels never wait.
//
// The reader is the only caller of push. It does not wait in there: pushFull asks it to
// wait for space and try again. Consumers call pop. One that found nothing waits for a
// token in ready and then calls woken. Each token wakes one consumer, which passes it
// on while there is more to take, or when the queue is closed.
//
// A message that pop returned belongs to the consumer. A consumer registered with
// addConsumer may take messages ahead, and says with its next pop how many it has
// handed over. What it has not begun can go back to the queue.
type queue struct {
	mu      sync.Mutex
	items   []item
	head    int  // items[:head] were taken
	lossy   load // QoS 0 messages in the queue
	firm    load // QoS 1 and 2 messages in the queue
	dropped uint64
	all     *dropped      // by all queues of the client
	losing  bool          // the last QoS 0 message was dropped: an episode is reported once
	closed  error         // why nothing comes out any more
	final   error         // why nothing is added any more, and why it closes when it is empty; nil: messages are added
	isCut   atomic.Bool   // cut is closed; set under mu, read by anybody
	noMore  chan struct{} // closed when final is set; nil: nobody waits for that
	kept    bool          // closed, but what comes back stays for cutOff to return

	consumers []*consumer
	out       int    // messages that consumers have
	taken     uint64 // numbers items

	maxMessages, maxBytes int // of QoS 0 messages; maxBytes also of the others
	overflow              Overflow
	remote                remote

	waiting int    // consumers that found the queue empty and wait for ready
	blocked bool   // the reader found it full and waits until it is half empty
	direct  bool   // somebody takes messages without being one of consumers
	loops   int    // of All and Respond
	source  source // that its consumers have; nil: they have none
	early   bool   // there is more space, because no consumer can receive before Subscribe returns

	progress *progress // of consumers, once the client is about to end; nil: nobody asks

	ready chan struct{} // one token: there is something to take, or the end
	space chan struct{} // one token: something was taken
	over  chan struct{} // closed when nothing comes out any more
	cut   chan struct{} // closed by cutOff and cutAndKeep: what consumers hold is not wanted either
}

// source is where messages come from. While a consumer has it, the consumer takes them
// from there itself; see reading.
type source interface {
	pass() // says that consumers have it
	step() // takes what is there, or gives the source back
}

// load is how much there is of one kind of messages.
type load struct{ messages, bytes int }

func (l *load) add(bytes int) { l.messages++; l.bytes += bytes }

func (l *load) remove(bytes int) { l.messages--; l.bytes -= bytes }

func (q *queue) init(o *SubscribeOptions, all *dropped) {
	q.all = all
	q.maxMessages = cmp.Or(o.BufferMessages, 4096)
	q.maxBytes = cmp.Or(o.BufferBytes, 16<<20)
	q.overflow = o.Overflow
	q.ready = make(chan struct{}, 1)
	q.space = make(chan struct{}, 1)
	q.over = make(chan struct{})
	q.cut = make(chan struct{})
}

// pushed says what became of a message.
type pushed uint8

const (
	pushTaken   pushed = iota
	pushFull           // try again when there is space
	pushLeft           // the server has to keep it, and all that follow it
	pushDropped        // the message or older ones were dropped
	pushEpisode        // likewise, for the first time since there was space
	pushClosed         // the queue is closed
)

// push queues items in order. n is how many of them are dealt with, and result is what
// became of the next if there is one. episode reports whether an episode of drops has
// begun. With putOff the caller puts off waking consumers: if asleep is returned true,
// it has to call wake soon.
func (q *queue) push(items []item, putOff bool) (n int, result pushed, episode, asleep bool) {
	q.mu.Lock()
	n = q.addAllLocked(items)
	for ; n < len(items); n++ {
		result = q.addLocked(items[n])
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

// pass gives the source to the consumers if one waits, alone, to work with what it takes.
func (q *queue) pass(from source) bool {
	q.mu.Lock()
	alone := q.waiting == 1 && (len(q.consumers) == 0 || len(q.consumers) == 1 && !q.consumers[0].feeds)
	if !alone || q.closed != nil || q.final != nil || q.progress != nil {
		q.mu.Unlock()
		return false
	}
	q.source = from
	q.mu.Unlock()
	from.pass() // without the lock, which is taken inside that of the source
	return true
}

// retake takes the source back.
func (q *queue) retake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.source = nil
}

// takes reports whether the queue is empty and has space for all messages.
func (q *queue) takes(received []session.Received) bool {
	var lossy, firm load
	for i := range received {
		p := &received[i].Publish
		if p.QoS == AtMostOnce {
			lossy.add(p.Cost())
		} else {
			firm.add(p.Cost())
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.head == len(q.items) && lossy.messages <= q.maxMessages && lossy.bytes <= q.maxBytes &&
		(firm.messages == 0 || q.fitsLocked(firm))
}

// pushOwn queues items that a consumer has read itself. It returns false if the queue is
// closed.
func (q *queue) pushOwn(items []item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil || q.final != nil {
		return false
	}
	for i := range items {
		m := &items[i]
		m.weigh()
		if m.QoS == AtMostOnce {
			q.lossy.add(m.size)
			q.losing = false
		} else {
			q.firm.add(m.size)
		}
	}
	q.items = append(q.items, items...)
	return true
}

// pushHeld queues a message that is held already, whatever the limits. It reports
// whether a consumer may still take it.
func (q *queue) pushHeld(m *Message) bool {
	q.mu.Lock()
	if q.closed != nil || q.final != nil {
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
	signal(q.ready)
	return true
}

// wake wakes a consumer that waits, which wakes the next if there is more to take.
func (q *queue) wake() { signal(q.ready) }

// addAllLocked queues all of items or none. It returns how many it has queued.
func (q *queue) addAllLocked(items []item) int {
	if q.closed != nil || q.final != nil {
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
		firm.messages > q.firm.messages && !q.fitsLocked(firm) {
		return 0
	}
	q.items = append(q.items, items...)
	if lossy.messages > q.lossy.messages {
		q.losing = false
	}
	q.lossy, q.firm = lossy, firm
	return len(items)
}

func (q *queue) addLocked(m item) pushed {
	if q.closed != nil || q.final != nil {
		return pushClosed
	}
	m.weigh()
	if m.QoS > AtMostOnce {
		return q.addFirmLocked(m)
	}
	result := pushTaken
	times := 1
	if q.early && q.overflow == Block {
		times = earlySpace
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
			q.dropLocked(m, &q.all.newest)
			return result
		}
		q.dropOldestLocked(m.size)
	} else {
		q.losing = false
	}
	q.items = append(q.items, m)
	q.lossy.add(m.size)
	return result
}

// earlySpace is how many times the limits apply until Subscribe returns, under Block
// and to QoS 1 and 2 messages. What a server sends beyond, without a SUBACK, is
// dropped or stays with it.
const earlySpace = 16

// dropOldestLocked makes space for a QoS 0 message of size bytes. Messages above QoS 0
// stay.
func (q *queue) dropOldestLocked(size int) {
	for i := q.head; q.lossy.messages > 0 && (q.lossy.messages >= q.maxMessages || q.lossy.bytes+size > q.maxBytes); {
		switch m := q.items[i]; {
		case m.QoS > AtMostOnce:
			i++
		case i == q.head:
			q.dropLocked(q.shiftLocked(), &q.all.oldest)
			i = q.head
		default:
			// Those before it move up: they are few, those behind it may be many.
			copy(q.items[q.head+1:i+1], q.items[q.head:i])
			q.items[q.head] = item{}
			q.head++
			i++
			q.lossy.remove(m.size)
			q.dropLocked(m, &q.all.oldest)
			i -= q.tidyLocked()
		}
	}
}

// dropLocked counts a message that is lost, also among all that are lost in the same way.
func (q *queue) dropLocked(m item, all *atomic.Uint64) {
	q.dropped++
	all.Add(1)
	m.lease.release(1)
}

// giveUp drops a message for which the reader no longer waits: its connection
// has ended.
func (q *queue) giveUp(m item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropLocked(m, &q.all.ended)
}

// shiftLocked takes out the head, and keeps the slice from growing forever.
func (q *queue) shiftLocked() item {
	m := q.items[q.head]
	q.items[q.head] = item{}
	q.head++
	if m.QoS == AtMostOnce {
		q.lossy.remove(m.size)
	} else {
		q.firm.remove(m.size)
	}
	q.tidyLocked()
	return m
}

// tidyLocked gives back the places of items that are gone. It returns by how many places the
// others have moved.
func (q *queue) tidyLocked() (moved int) {
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

// pop takes messages into dst, as many as there are and fit. If it takes none and err
// is nil, the caller counts as waiting: it has to wait for ready and then call woken.
// err says why no message will come any more.
//
// c has handed over handedOver of the messages that it took before. If c is nil, a
// message counts as handed over at once. With acknowledge the messages are acknowledged
// before the queue can end, so that no consumer has one that is not.
//
// If it returns a source, the caller does not count as waiting, but has to call its step and
// then pop again.
func (q *queue) pop(c *consumer, handedOver int, dst []item, acknowledge bool) (n int, from source, err error) {
	q.mu.Lock()
	if c != nil {
		clear(c.batch[:c.count])
		c.count = 0
		q.handedOverLocked(c, handedOver)
	} else {
		q.direct = true
	}
	if q.closed != nil {
		err = q.closed
		q.mu.Unlock()
		signal(q.ready) // for the next consumer to see the end
		return 0, nil, err
	}
	if len(q.consumers) == 0 || q.shareLocked(c) {
		n = q.takeLocked(c, dst)
	}
	if acknowledge {
		for _, m := range dst[:n] {
			if m.QoS > AtMostOnce {
				m.acknowledger.acknowledge(Success)
			}
		}
	}
	if n == 0 {
		if q.final == nil {
			from = q.source // otherwise nothing is added, however much there is to read
		}
		if from == nil {
			q.waiting++
		}
		q.mu.Unlock()
		return 0, from, nil
	}
	q.closeIfEmptyLocked()
	q.progressedLocked()
	more := q.waiting > 0 && (q.head < len(q.items) || q.closed != nil)
	resume := q.blocked && q.lossy.messages <= q.maxMessages/2 && q.lossy.bytes <= q.maxBytes/2
	if resume {
		q.blocked = false
	}
	starved, fetch := q.noteTakenLocked()
	q.mu.Unlock()
	if more {
		signal(q.ready)
	}
	if resume || starved {
		signal(q.space)
	}
	if fetch != nil {
		fetch()
	}
	return n, nil, nil
}

// takeLocked takes messages into dst for c.
func (q *queue) takeLocked(c *consumer, dst []item) (n int) {
	if len(q.consumers) > 1 {
		dst = dst[:1] // the others want some too
	}
	n = copy(dst, q.items[q.head:])
	for i := range dst[:n] {
		m := &dst[i]
		if m.number == 0 {
			q.taken++
			m.number = q.taken
		}
		if m.QoS == AtMostOnce {
			q.lossy.remove(m.size)
		} else {
			q.firm.remove(m.size)
		}
	}
	clear(q.items[q.head : q.head+n])
	q.head += n
	q.tidyLocked()
	if c != nil {
		c.out += n
		q.out += n
		if c.batch != nil {
			c.count = int64(n)
			c.next.Store(0)
		}
	}
	return n
}

// keptItems is how many places an empty queue keeps for the next burst.
const keptItems = 2048

// beginConsuming says that there may be consumers from now on.
func (q *queue) beginConsuming() {
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

// err returns why the queue is closed.
func (q *queue) err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// countRefused counts a message that came and cannot be handed over.
func (q *queue) countRefused() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped++
}

// countLost counts a message that the server keeps in vain.
func (q *queue) countLost() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped++
	q.all.noSession.Add(1)
}

// lost returns how many messages were dropped.
func (q *queue) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// signal leaves a token in ch unless there is one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
