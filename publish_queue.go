package mqtt

import (
	"iter"
	"slices"

	"github.com/seed65a45251/mqtt/session"
)

// publishQueue bounds the messages that wait in a Sender to be sent, and has the
// publishers that wait for capacity. It is guarded by engine.mu.
type publishQueue struct {
	limits  queueLimits
	waiters capacityWaiters
	dropped uint64                       // messages that a policy has dropped
	waiting func() (messages, bytes int) // what else waits; nil: nothing does

	unreported queueLoad // messages that have failed and wait for Config.Undelivered
}

// queueLoad is a number of messages and their size in bytes.
type queueLoad struct{ messages, bytes int }

func (l *queueLoad) add(messages, bytes int) {
	l.messages += messages
	l.bytes += bytes
}

type queueLimits struct{ messages, bytes int }

// admit applies the policy to a message for which there may be no capacity. When it
// returns neither true nor an error, the message has to wait.
func (q *publishQueue) admit(s *session.Sender, full WhenFull, qos QoS, size int) (ok bool, err error) {
	if q.fits(s, size) {
		return true, nil
	}
	switch full.policy(qos) {
	case FullBlock:
		return false, nil
	case FullDropOldest:
		if !q.reports(1, 0) {
			return false, ErrQueueFull
		}
		messages, bytes := s.Droppable(qos > AtMostOnce)
		if !new(q.without(s, messages, bytes)).fits(size) {
			return false, ErrQueueFull // whatever is dropped
		}
		for s.DropOldest(qos > AtMostOnce, ErrQueueFull) {
			q.dropped++
			if q.fits(s, size) {
				return true, nil
			}
		}
	case FullDropNewest:
		q.dropped++
	}
	return false, ErrQueueFull
}

// fits says whether the queue takes a message.
func (q *publishQueue) fits(s *session.Sender, size int) bool {
	return new(q.without(s, 0, 0)).fits(size)
}

// without is what the queue would take without so many messages of so many bytes,
// beyond what has been offered. An empty queue takes any. As much again as the queue
// takes may have failed and be waiting for Config.Undelivered; more of that takes the
// place of messages that could be sent.
func (q *publishQueue) without(s *session.Sender, messages, bytes int) capacity {
	m, n := s.Queued()
	if q.waiting != nil {
		waiting, size := q.waiting()
		m, n = m+waiting, n+size
	}
	m, n = m-messages+q.waiters.messages, n-bytes+q.waiters.bytes
	m += max(0, q.unreported.messages-q.limits.messages)
	n += max(0, q.unreported.bytes-q.limits.bytes)
	return capacity{empty: m == 0, messages: q.limits.messages - m, bytes: q.limits.bytes - n}
}

// reports says whether Config.Undelivered can be told of so much more.
func (q *publishQueue) reports(messages, bytes int) bool {
	u := q.unreported
	return u.messages == 0 || u.messages+messages <= q.limits.messages && u.bytes+bytes <= q.limits.bytes
}

// contended says whether publishers wait.
func (q *publishQueue) contended() bool { return q.waiters.list.len() > 0 }

// offer lets those publishers try again for whom there is capacity: it appends their
// channels to dst.
func (q *publishQueue) offer(dst []chan struct{}, s *session.Sender) []chan struct{} {
	return q.waiters.offer(dst, new(q.without(s, 0, 0)))
}

// capacity is what the queue still takes.
type capacity struct {
	empty           bool // any message: one larger than the limit must be possible
	messages, bytes int
}

func (c *capacity) fits(size int) bool { return c.empty || c.messages > 0 && size <= c.bytes }

func (c *capacity) reserve(size int) {
	c.empty = false
	c.messages--
	c.bytes -= size
}

// capacityWaiter is a publisher that waits for capacity.
type capacityWaiter struct {
	size    int
	ticket  uint64 // in the order of arrival
	passed  int    // messages that were admitted although they came later
	offer   chan struct{}
	offered bool // it has an offer, which it has not taken up
}

// capacityWaiters are those that wait, in the order of their tickets. Capacity goes to
// whoever it is enough for, so a large message does not hold up small ones behind it;
// but only mayPass of them go before it, or it might wait forever, and only those
// that are not too far behind: many may wait, and each look at them is taken under the
// client's lock.
type capacityWaiters struct {
	list     ranking[*capacityWaiter]
	tickets  uint64
	smallest int // no size in list is below it

	// What has been offered and is not taken up: it is nobody else's.
	messages, bytes int
}

const (
	mayPass  = 1000 // how many messages may overtake one that is too large for what is free
	lookPast = 256  // how many of those they may overtake
)

// wait puts w in its place, which it keeps when it comes again.
func (q *capacityWaiters) wait(w *capacityWaiter) {
	if w.ticket == 0 {
		q.tickets++
		w.ticket = q.tickets
	}
	if q.list.len() == 0 || w.size < q.smallest {
		q.smallest = w.size
	}
	q.list.add(w.ticket, w)
}

// leave takes w out, and its offer back if it has one.
func (q *capacityWaiters) leave(w *capacityWaiter) {
	if w.offered {
		w.offered = false
		q.messages--
		q.bytes -= w.size
		return
	}
	q.list.remove(w.ticket)
}

// offer takes out those that free is enough for and appends their channels to dst.
func (q *capacityWaiters) offer(dst []chan struct{}, free *capacity) []chan struct{} {
	if q.list.len() == 0 || !free.fits(q.smallest) {
		return dst
	}
	var left, admitted []*capacityWaiter // left were passed over
	all := true
	for w := range q.list.all() {
		if free.messages <= 0 && !free.empty || len(left) == lookPast || len(left) > 0 && left[0].passed >= mayPass {
			all = false
			break
		}
		if !free.fits(w.size) {
			left = append(left, w)
			continue
		}
		free.reserve(w.size)
		admitted = append(admitted, w)
		for _, l := range left {
			l.passed++
		}
	}
	for _, w := range admitted {
		q.list.remove(w.ticket)
		w.offered = true
		q.messages++
		q.bytes += w.size
		dst = append(dst, w.offer)
	}
	if all {
		q.smallest = smallestOf(left)
	}
	return dst
}

func smallestOf(list []*capacityWaiter) (smallest int) {
	for i, w := range list {
		if i == 0 || w.size < smallest {
			smallest = w.size
		}
	}
	return smallest
}

// ranking holds elements in the order of their numbers. Places of elements that were
// taken out are given up some time later, all at once: so taking out one of 100,000 costs
// no more than one of ten. The zero value is empty.
type ranking[E any] struct {
	places []place[E]
	gone   int // of places
}

type place[E any] struct {
	number  uint64
	element E
	gone    bool
}

// add puts e in its place, most often the last. No other has its number.
func (r *ranking[E]) add(number uint64, e E) {
	p := place[E]{number: number, element: e}
	if n := len(r.places); n == 0 || r.places[n-1].number < number {
		r.places = append(r.places, p)
		return
	}
	i, found := r.find(number)
	if found {
		r.places[i] = p // it was there before
		r.gone--
		return
	}
	r.places = slices.Insert(r.places, i, p)
}

// remove takes out the element with number, and says whether it was there.
func (r *ranking[E]) remove(number uint64) bool {
	i, found := r.find(number)
	if !found || r.places[i].gone {
		return false
	}
	r.places[i] = place[E]{number: number, gone: true}
	r.gone++
	for len(r.places) > 0 && r.places[0].gone {
		r.places = r.places[1:]
		r.gone--
	}
	if r.gone > 16 && 2*r.gone > len(r.places) {
		r.places = slices.DeleteFunc(r.places, func(p place[E]) bool { return p.gone })
		r.gone = 0
	}
	return true
}

func (r *ranking[E]) find(number uint64) (int, bool) {
	return slices.BinarySearchFunc(r.places, number, func(p place[E], number uint64) int {
		switch {
		case p.number < number:
			return -1
		case p.number > number:
			return 1
		}
		return 0
	})
}

func (r *ranking[E]) len() int { return len(r.places) - r.gone }

// all yields all elements in order. None may be taken out meanwhile.
func (r *ranking[E]) all() iter.Seq[E] {
	return func(yield func(E) bool) {
		for _, p := range r.places {
			if !p.gone && !yield(p.element) {
				return
			}
		}
	}
}

// FullPolicy decides about a message to be published for which the queue of messages
// that wait to be sent has no space.
type FullPolicy uint8

// What to do when the queue is full. Only messages that were never sent are
// dropped. A dropped message fails with ErrQueueFull: its Publish or its Delivery
// says so, and Stats counts it.
const (
	// What to do when the queue is full. Only messages that were never sent are
	// dropped. A dropped message fails with ErrQueueFull, which its Publish or its
	// Delivery returns, and Stats counts it.
	FullBlock      FullPolicy = iota // wait for space under the context of the call
	FullFail                         // return ErrQueueFull at once
	FullDropOldest                   // drop the message of the same class that has waited longest; fail if there is none
	FullDropNewest                   // drop this message: PublishAsync returns a Delivery that has failed
)

// WhenFull has a policy for each class of messages. The classes share the queue.
type WhenFull struct {
	AtMostOnce   FullPolicy // QoS 0
	Acknowledged FullPolicy // QoS 1 and 2
}

func (w WhenFull) policy(qos QoS) FullPolicy {
	if qos == AtMostOnce {
		return w.AtMostOnce
	}
	return w.Acknowledged
}

// flush waits until all messages up to a number are out of the way.
type flush struct {
	seq       uint64
	remaining int
	err       error // set before done is closed: the client ended first
	done      chan struct{}
}

// flushes are the calls of Flush that wait. They are guarded by engine.mu.
type flushes []*flush

// remove takes out f.
func (all *flushes) remove(f *flush) {
	*all = slices.DeleteFunc(*all, func(g *flush) bool { return g == f })
}

// fail has all return err: what they wait for fails now.
func (all flushes) fail(err error) {
	for _, f := range all {
		f.err = err
	}
}

// count notes that message seq is out of the way. It appends to dst, and takes out,
// those that wait for nothing else.
func (all *flushes) count(dst []*flush, seq uint64) []*flush {
	*all = slices.DeleteFunc(*all, func(f *flush) bool {
		if seq > f.seq {
			return false
		}
		if f.remaining--; f.remaining > 0 {
			return false
		}
		dst = append(dst, f)
		return true
	})
	return dst
}
