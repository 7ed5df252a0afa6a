package mqtt

import "slices"

// roomWaiter is a publisher that waits for room in the queue.
type roomWaiter struct {
	size     int
	ticket   uint64 // in the order of arrival
	passed   int    // messages that got room although they came later
	offer    chan struct{}
	promised bool // it has an offer, which it has not taken up
}

// roomWaiters are those that wait, in the order of their tickets. Room goes to
// whoever it is enough for, so a large message does not hold up small ones behind it;
// but only mayPass of them go before it, or it might wait for ever.
type roomWaiters struct {
	list     []*roomWaiter
	tickets  uint64
	smallest int // no size in list is below it

	// What has been offered and is not taken up: it is nobody else's.
	messages, bytes int
}

// mayPass is how many messages may overtake one that is too large for the room there is.
const mayPass = 1000

// wait puts w in its place, which it keeps when it comes again.
func (q *roomWaiters) wait(w *roomWaiter) {
	if w.ticket == 0 {
		q.tickets++
		w.ticket = q.tickets
	}
	if len(q.list) == 0 || w.size < q.smallest {
		q.smallest = w.size
	}
	i, _ := q.find(w)
	q.list = slices.Insert(q.list, i, w)
}

// leave takes w out, and its offer back if it has one.
func (q *roomWaiters) leave(w *roomWaiter) {
	if w.promised {
		w.promised = false
		q.messages--
		q.bytes -= w.size
		return
	}
	if i, found := q.find(w); found {
		q.list = slices.Delete(q.list, i, i+1)
	}
}

func (q *roomWaiters) find(w *roomWaiter) (int, bool) {
	return slices.BinarySearchFunc(q.list, w, func(a, b *roomWaiter) int {
		switch {
		case a.ticket < b.ticket:
			return -1
		case a.ticket > b.ticket:
			return 1
		}
		return 0
	})
}

// offer takes out those that room is enough for and appends their channels to dst.
func (q *roomWaiters) offer(dst []chan struct{}, r *room) []chan struct{} {
	if !r.fits(q.smallest) {
		return dst
	}
	var left []*roomWaiter // those that were passed over
	smallest := 0
	for i, w := range q.list {
		if r.messages <= 0 && !r.empty || len(left) > 0 && left[0].passed >= mayPass {
			left = append(left, q.list[i:]...)
			smallest = min(smallest, q.smallest)
			break
		}
		if r.fits(w.size) {
			r.take(w.size)
			w.promised = true
			q.messages++
			q.bytes += w.size
			dst = append(dst, w.offer)
			for _, l := range left {
				l.passed++
			}
			continue
		}
		if len(left) == 0 || w.size < smallest {
			smallest = w.size
		}
		left = append(left, w)
	}
	clear(q.list[copy(q.list, left):])
	q.list, q.smallest = q.list[:len(left)], smallest
	return dst
}

// room is what the queue still takes.
type room struct {
	empty           bool // any message: one larger than the limit must be possible
	messages, bytes int
}

func (r *room) fits(size int) bool { return r.empty || r.messages > 0 && size <= r.bytes }

func (r *room) take(size int) {
	r.empty = false
	r.messages--
	r.bytes -= size
}
