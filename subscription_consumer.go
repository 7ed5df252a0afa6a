package mqtt

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// consumer takes messages from a queue before it hands them over. What it has goes back
// to the head of the queue, in the order of arrival, when it ends. All but next is
// guarded by queue.mu.
type consumer struct {
	ended <-chan struct{} // closed when it is about to give back what it has; nil: that may take long
	out   int             // messages that it has taken and neither handed over nor given back
	feeds bool            // others work with what it takes, so it is not to read besides
	batch []item          // where it takes messages to, if others may take back the rest
	count int64           // of those that it took to batch last
	next  atomic.Int64    // the first of them that it has not begun
}

// begun is next where nothing of the batch is left.
const begun = math.MaxInt64 / 2

// claimNext returns the next message of the batch, unless others have taken the rest.
func (c *consumer) claimNext() (m item, ok bool) {
	next := c.next.Add(1) - 1
	if next >= c.count {
		return item{}, false
	}
	return c.batch[next], true
}

// restLocked takes away what c has not begun.
func (c *consumer) restLocked() []item {
	if c.next.Load() >= c.count {
		return nil
	}
	i := min(c.next.Swap(begun), c.count)
	return c.batch[i:c.count]
}

// addConsumer registers c, until removeConsumer.
func (q *queue) addConsumer(c *consumer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.next.Store(begun)
	q.consumers = append(q.consumers, c)
}

// removeConsumer ends c, which gives back unfinished and what it has not begun. What
// the queue does not take because it is closed is returned.
func (q *queue) removeConsumer(c *consumer, unfinished ...item) (left []item) {
	q.mu.Lock()
	q.consumers = slices.DeleteFunc(q.consumers, func(o *consumer) bool { return o == c })
	unfinished = append(unfinished, c.restLocked()...)
	q.out -= c.out
	c.out = 0
	if q.closed != nil && !q.kept {
		left = unfinished
	} else {
		q.putBackLocked(unfinished)
	}
	q.closeIfEmptyLocked()
	q.progressedLocked()
	q.mu.Unlock()
	signal(q.ready) // also for those that wait for c
	return left
}

// handedOver says that n messages which c took are handed over.
func (q *queue) handedOver(c *consumer, n int) {
	q.mu.Lock()
	q.handedOverLocked(c, n)
	q.mu.Unlock()
}

func (q *queue) handedOverLocked(c *consumer, n int) {
	c.out -= n
	q.out -= n
	q.closeIfEmptyLocked()
	if n > 0 {
		q.progressedLocked()
	}
}

// shareLocked makes what is there available to c, which may be nil: it takes back what
// other consumers have not begun. ok is false while a message that belongs before
// all others is on its way back from a consumer that has ended.
func (q *queue) shareLocked(c *consumer) (ok bool) {
	for _, o := range q.consumers {
		if o == c || o.out == 0 {
			continue
		}
		if rest := o.restLocked(); len(rest) > 0 {
			o.out -= len(rest)
			q.out -= len(rest)
			q.putBackLocked(rest)
		}
		select {
		case <-o.ended:
			return false
		default:
		}
	}
	return true
}

// putBackLocked puts items that were taken before in front of those that never were.
func (q *queue) putBackLocked(items []item) {
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

// workers are the goroutines behind the channels of Messages and Stream. None of them
// outlives the end of its queue by more than it takes to give back one message, so
// once the queues are cut they may be waited for.
type workers struct {
	mu     sync.Mutex
	wg     sync.WaitGroup
	closed bool
}

// start runs f unless the client has ended.
func (w *workers) start(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.wg.Go(f)
	return true
}

// stop lets no further ones begin and waits for those that run: with the queues cut
// they wait for nobody.
func (w *workers) stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wg.Wait()
}

// handlers counts the calls of Handle and Respond under way.
type handlers struct {
	n        atomic.Int64
	progress *progress
}

func (h *handlers) add() { h.n.Add(1) }

func (h *handlers) done() {
	h.n.Add(-1)
	h.progress.made()
}
