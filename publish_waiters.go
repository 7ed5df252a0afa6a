package mqtt

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
// but only mayPass of them go before it, or it might wait forever, and only those
// that are not too far behind: many may wait, and each look at them is taken under the
// client's lock.
type roomWaiters struct {
	list     ranking[*roomWaiter]
	tickets  uint64
	smallest int // no size in list is below it

	// What has been offered and is not taken up: it is nobody else's.
	messages, bytes int
}

const (
	mayPass  = 1000 // how many messages may overtake one that is too large for the room there is
	lookPast = 256  // how many of those they may overtake
)

// wait puts w in its place, which it keeps when it comes again.
func (q *roomWaiters) wait(w *roomWaiter) {
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
func (q *roomWaiters) leave(w *roomWaiter) {
	if w.promised {
		w.promised = false
		q.messages--
		q.bytes -= w.size
		return
	}
	q.list.remove(w.ticket)
}

// offer takes out those that room is enough for and appends their channels to dst.
func (q *roomWaiters) offer(dst []chan struct{}, r *room) []chan struct{} {
	if q.list.len() == 0 || !r.fits(q.smallest) {
		return dst
	}
	var left, lucky []*roomWaiter // left were passed over
	all := true
	for w := range q.list.all() {
		if r.messages <= 0 && !r.empty || len(left) == lookPast || len(left) > 0 && left[0].passed >= mayPass {
			all = false
			break
		}
		if !r.fits(w.size) {
			left = append(left, w)
			continue
		}
		r.take(w.size)
		lucky = append(lucky, w)
		for _, l := range left {
			l.passed++
		}
	}
	for _, w := range lucky {
		q.list.remove(w.ticket)
		w.promised = true
		q.messages++
		q.bytes += w.size
		dst = append(dst, w.offer)
	}
	if all {
		q.smallest = smallestOf(left)
	}
	return dst
}

func smallestOf(list []*roomWaiter) (smallest int) {
	for i, w := range list {
		if i == 0 || w.size < smallest {
			smallest = w.size
		}
	}
	return smallest
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
