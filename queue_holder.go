package mqtt

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
)

// holder is a consumer that takes messages before it hands them over. What it
// holds goes back to the head of the queue, in the order of arrival, when it ends.
// All but next is guarded by queue.mu.
type holder struct {
	ended <-chan struct{} // closed when it is about to give back what it holds; nil: that may take long
	out   int             // messages that it has taken and neither settled nor given back
	batch []item          // where it takes messages to, if others may take back the rest
	count int64           // of those that it took to batch last
	next  atomic.Int64    // the first of them that it has not begun
}

// begun is next where nothing of the batch is left.
const begun = math.MaxInt64 / 2

// claim returns the next message of the batch, unless others have taken the rest.
func (h *holder) claim() (m item, ok bool) {
	next := h.next.Add(1) - 1
	if next >= h.count {
		return item{}, false
	}
	return h.batch[next], true
}

// rest takes away what h has not begun. Called with queue.mu held.
func (h *holder) rest() []item {
	if h.next.Load() >= h.count {
		return nil
	}
	i := min(h.next.Swap(begun), h.count)
	return h.batch[i:h.count]
}

// hold registers a consumer; release ends it.
func (q *queue) hold(h *holder) {
	q.mu.Lock()
	defer q.mu.Unlock()
	h.next.Store(begun)
	q.holders = append(q.holders, h)
}

// release ends h, which gives back unfinished and what it has not begun. What the
// queue does not take because it has ended is returned.
func (q *queue) release(h *holder, unfinished ...item) (left []item) {
	q.mu.Lock()
	q.holders = slices.DeleteFunc(q.holders, func(o *holder) bool { return o == h })
	unfinished = append(unfinished, h.rest()...)
	q.out -= h.out
	h.out = 0
	if q.closed != nil && !q.kept {
		left = unfinished
	} else {
		q.putBack(unfinished)
	}
	q.finishIfDrained()
	q.mu.Unlock()
	token(q.ready) // also for who waits for h
	return left
}

// settled says that n messages which h took are handed over.
func (q *queue) settled(h *holder, n int) {
	q.mu.Lock()
	q.settle(h, n)
	q.mu.Unlock()
}

// settle is settled with q.mu held.
func (q *queue) settle(h *holder, n int) {
	h.out -= n
	q.out -= n
	q.finishIfDrained()
}

// finishIfDrained ends a queue of which consumers have got everything. Called with
// q.mu held.
func (q *queue) finishIfDrained() {
	if q.final && q.out == 0 && q.head == len(q.items) && q.closed == nil {
		q.finish(ErrUnsubscribed)
		token(q.ready)
	}
}

// share makes what is there available to h, which may be nil: it takes back what
// other consumers have not begun. ok is false while a message that belongs before
// all others is on its way back from a consumer that has ended. Called with q.mu
// held.
func (q *queue) share(h *holder) (ok bool) {
	for _, o := range q.holders {
		if o == h || o.out == 0 {
			continue
		}
		if rest := o.rest(); len(rest) > 0 {
			o.out -= len(rest)
			q.out -= len(rest)
			q.putBack(rest)
		}
		select {
		case <-o.ended:
			return false
		default:
		}
	}
	return true
}

// putBack puts items that were taken before in front of those that never were.
// Called with q.mu held.
func (q *queue) putBack(items []item) {
	if len(items) == 0 {
		return
	}
	n := 0 // that came back before
	for q.head+n < len(q.items) && q.items[q.head+n].number != 0 {
		n++
	}
	back := slices.Concat(q.items[q.head:q.head+n], items)
	slices.SortFunc(back, func(a, b item) int { return cmp.Compare(a.number, b.number) })
	if q.head >= len(items) {
		q.head -= len(items)
		copy(q.items[q.head:], back)
	} else {
		q.items = slices.Concat(back, q.items[q.head+n:])
		q.head = 0
	}
	for _, m := range items {
		if m.QoS == AtMostOnce {
			q.lossy.add(m.size)
		} else {
			q.firm.add(m.size)
		}
	}
}
