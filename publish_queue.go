package mqtt

import (
	"github.com/seed65a45251/mqtt/session"
)

// publishQueue bounds the messages that wait in a Sender to be sent, and has the
// publishers that wait for capacity. It is guarded by engine.mu.
type publishQueue struct {
	limits  queueLimits
	waiters capacityWaiters
	dropped uint64 // messages that a policy has dropped
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
// beyond what has been offered. An empty queue takes any.
func (q *publishQueue) without(s *session.Sender, messages, bytes int) capacity {
	m, n := s.Queued()
	m, n = m-messages+q.waiters.messages, n-bytes+q.waiters.bytes
	return capacity{empty: m == 0, messages: q.limits.messages - m, bytes: q.limits.bytes - n}
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

func (c *capacity) take(size int) {
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
		free.take(w.size)
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
