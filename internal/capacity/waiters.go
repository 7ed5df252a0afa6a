package capacity

// Waiter is a publisher that waits for capacity.
type Waiter struct {
	Class Class
	Size  int
	Offer chan struct{} // gets a token when there is an offer; has capacity for one

	ticket  uint64 // in the order of arrival
	passed  int    // messages that were admitted although they came later
	narrow  bool   // it does not fit into its class, but into the queue
	offered bool   // it has an offer, which it has not taken up
}

// Waiters are those that wait, in the order of their tickets. Capacity goes to the one that it
// is enough for, so a large message does not hold up small ones behind it; but only
// mayPass of them go before it, or it might wait forever, and only those that are not too
// far behind: many may wait, and each look at them is taken under the client's lock. One
// that waits for its class alone is in nobody's way outside of it.
type Waiters struct {
	lines   *[classes]line // nil: nobody has waited yet, as with most clients
	tickets uint64
	offered [classes]Load // and not taken up: it is nobody else's
}

// line has the waiters of one class.
type line struct {
	ranking  ranking[*Waiter]
	smallest int // no size in ranking is below it
}

const (
	mayPass  = 1000 // how many messages may overtake one that is too large for what is free
	lookPast = 256  // how many of those they may overtake
)

// Any says whether there is anybody.
func (q *Waiters) Any() bool {
	if q.lines == nil {
		return false
	}
	return q.lines[Acknowledged].ranking.len() > 0 || q.lines[AtMostOnce].ranking.len() > 0
}

// Offers says whether there are offers that are not taken up.
func (q *Waiters) Offers() bool {
	return q.offered[Acknowledged].Messages != 0 || q.offered[AtMostOnce].Messages != 0
}

// Offered returns what messages of a class have been offered and have not taken up.
func (q *Waiters) Offered(c Class) Load { return q.offered[c] }

// Wait puts w in its place, which it keeps when it comes again.
func (q *Waiters) Wait(w *Waiter) {
	if w.ticket == 0 {
		q.tickets++
		w.ticket = q.tickets
	}
	if q.lines == nil {
		q.lines = new([classes]line)
	}
	l := &q.lines[w.Class]
	if l.ranking.len() == 0 || w.Size < l.smallest {
		l.smallest = w.Size
	}
	l.ranking.add(w.ticket, w)
}

// Leave takes w out, and its offer back if it has one.
func (q *Waiters) Leave(w *Waiter) {
	if w.offered {
		w.offered = false
		q.offered[w.Class].Add(-1, -w.Size)
		return
	}
	q.lines[w.Class].ranking.remove(w.ticket)
}

// Offer takes out those that free is enough for and appends their channels to dst.
func (q *Waiters) Offer(dst []chan struct{}, free *Free) []chan struct{} {
	if !q.mayFit(free) {
		return dst
	}
	var walks [classes]walk
	for c := range walks {
		l := &q.lines[c]
		// A class that is full is not walked. One that is not may have a message that the
		// others must not overtake forever.
		walks[c] = walk{ranking: &l.ranking, over: !free.Class[c].Fits(l.smallest)}
		walks[c].find()
	}
	var admitted []*Waiter
	for w := next(&walks); w != nil; w = next(&walks) {
		own, other := &walks[w.Class], &walks[w.Class^1]
		switch {
		case free.full(w.Class) || len(own.left) == lookPast || own.blocks(false) || other.blocks(true):
			own.over, own.cut = true, true
		case !free.Fits(w.Class, w.Size):
			w.narrow = free.All.Fits(w.Size)
			own.left = append(own.left, w)
			own.step()
		default:
			free.reserve(w.Class, w.Size)
			admitted = append(admitted, w)
			own.overtaken(false)
			other.overtaken(true)
			own.step()
		}
	}
	for _, w := range admitted {
		q.lines[w.Class].ranking.remove(w.ticket)
		w.offered = true
		q.offered[w.Class].Add(1, w.Size)
		dst = append(dst, w.Offer)
	}
	for c := range walks {
		if w := &walks[c]; w.at > 0 && !w.cut {
			q.lines[c].smallest = smallestOf(w.left)
		}
	}
	return dst
}

// mayFit says whether anybody may fit into free.
func (q *Waiters) mayFit(free *Free) bool {
	if q.lines == nil {
		return false
	}
	for c := range q.lines {
		if l := &q.lines[c]; l.ranking.len() > 0 && free.Fits(Class(c), l.smallest) {
			return true
		}
	}
	return false
}

// walk is a look at the waiters of one class, in their order.
type walk struct {
	ranking *ranking[*Waiter]
	at      int       // the place that comes next
	left    []*Waiter // those that were passed over
	over    bool      // no more are looked at
	cut     bool      // although there are more
}

// find moves on to the next place that is taken.
func (w *walk) find() {
	for w.at < len(w.ranking.places) && w.ranking.places[w.at].gone {
		w.at++
	}
	w.over = w.over || w.at == len(w.ranking.places)
}

func (w *walk) step() {
	w.at++
	w.find()
}

// blocks says whether the first that was passed over has been overtaken often enough. For
// others means messages of the other class.
func (w *walk) blocks(others bool) bool {
	return len(w.left) > 0 && w.left[0].passed >= mayPass && !(others && w.left[0].narrow)
}

// overtaken counts a message that was admitted before those that were passed over.
func (w *walk) overtaken(byOthers bool) {
	for _, l := range w.left {
		if !byOthers || !l.narrow {
			l.passed++
		}
	}
}

// next returns the waiter with the lowest ticket that is to be looked at; nil: none is.
func next(walks *[classes]walk) (first *Waiter) {
	for c := range walks {
		if w := &walks[c]; !w.over {
			if e := w.ranking.places[w.at].element; first == nil || e.ticket < first.ticket {
				first = e
			}
		}
	}
	return first
}

func smallestOf(list []*Waiter) (smallest int) {
	for i, w := range list {
		if i == 0 || w.Size < smallest {
			smallest = w.Size
		}
	}
	return smallest
}
