package broker

import (
	"context"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/census"
)

// loginsMaximum is how many logins wait for their turn. The one with the least prospects
// is refused when there are more.
const loginsMaximum = 1024

// loginQueue decides whose password is checked next, which takes a processor's time
// and is what an attacker wants to use up. Before everybody else come those whose
// address has logged in as the user before. Then those have precedence whose address,
// network and user had few wrong passwords lately, and among equals whoever came last:
// who guesses has to come again for each guess, and what has waited long may be given up.
// It makes no difference whether a user exists.
type loginQueue struct {
	seed maphash.Seed

	mu      sync.Mutex // guards the rest; a leaf
	waiting []*loginWait
	faults  tally
	known   tally // users at an address
}

// loginWait is one login that waits.
type loginWait struct {
	user, address, network, both uint64

	admitted chan struct{} // closed when it is its turn
	refused  chan struct{} // closed when it is refused
}

func newLoginQueue() *loginQueue {
	return &loginQueue{seed: maphash.MakeSeed(), faults: tally{halfLife: time.Minute}, known: tally{halfLife: time.Hour}}
}

func (q *loginQueue) login(l *Login) *loginWait {
	type both struct {
		user    string
		address netip.Addr
	}
	address := census.AddressOf(l.RemoteAddr)
	return &loginWait{
		user:     maphash.Comparable(q.seed, l.Username),
		address:  maphash.Comparable(q.seed, address),
		network:  maphash.Comparable(q.seed, networkOf(address)),
		both:     maphash.Comparable(q.seed, both{l.Username, address}),
		admitted: make(chan struct{}),
		refused:  make(chan struct{}),
	}
}

// wait waits for one of turns, which the caller has then, and gives back. It reports
// false if the login is refused or ctx ends before.
func (q *loginQueue) wait(ctx context.Context, w *loginWait, turns chan struct{}) bool {
	q.join(w)
	for {
		select {
		case turns <- struct{}{}:
			// Whoever gets one gives it to the best.
			switch q.next(w) {
			case w:
				return true
			case nil:
				<-turns
			}
		case <-w.admitted:
			return true
		case <-w.refused:
			return false
		case <-ctx.Done():
			if q.quit(w) {
				return false
			}
			select {
			case <-w.admitted:
				<-turns
			case <-w.refused:
			}
			return false
		}
	}
}

// join puts w into the queue, and refuses the worst if that is too long.
func (q *loginQueue) join(w *loginWait) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, w)
	if len(q.waiting) <= loginsMaximum {
		return
	}
	now := time.Now()
	worst, last := 0, -2
	for i, w := range q.waiting {
		if r := q.rankLocked(w, now); r > last {
			worst, last = i, r
		}
	}
	close(q.waiting[worst].refused)
	q.waiting = slices.Delete(q.waiting, worst, worst+1)
}

// next takes the best out of the queue and tells it that it is its turn, unless it is
// own; nil: nobody waits.
func (q *loginQueue) next(own *loginWait) *loginWait {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	best, first := -1, 0
	for i, w := range slices.Backward(q.waiting) {
		if r := q.rankLocked(w, now); best < 0 || r < first {
			best, first = i, r
		}
	}
	if best < 0 {
		return nil
	}
	w := q.waiting[best]
	q.waiting = slices.Delete(q.waiting, best, best+1)
	if w != own {
		close(w.admitted)
	}
	return w
}

// quit takes w out of the queue. It reports false if w is not in it any more.
func (q *loginQueue) quit(w *loginWait) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, w)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// knownFaults is how many wrong passwords a user is allowed at an address where it has
// logged in.
const knownFaults = 3

// rankLocked says how late a login comes. Called with q.mu held.
func (q *loginQueue) rankLocked(w *loginWait, now time.Time) int {
	if q.known.of(w.both, now) > 0 && q.faults.of(w.both, now) <= knownFaults {
		return -1
	}
	rank := 0
	for _, f := range w.faults() {
		rank += bits.Len32(q.faults.of(f.key, now) / f.pardon)
	}
	return rank
}

// fault is what a wrong password speaks against. Few of them do not, where many
// honest ones are beside whoever guesses.
type fault struct {
	key    uint64
	pardon uint32
}

func (w *loginWait) faults() [3]fault {
	return [3]fault{{w.address, 1}, {w.network, 8}, {w.user, 64}}
}

// networkOf returns the network that an address is in: of many addresses whose owner
// may be one.
func networkOf(address netip.Addr) netip.Prefix {
	length := 16
	if address.Is6() {
		length = 40
	}
	network, _ := address.Prefix(length) // none for no address
	return network
}

// learn notes whether the password was right.
func (q *loginQueue) learn(w *loginWait, right bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if right {
		q.known.add(w.both, 1<<10, now) // for ten half-lives
		return
	}
	for _, f := range w.faults() {
		q.faults.add(f.key, 1, now)
	}
	q.faults.add(w.both, 1, now)
}

// tally counts what is forgotten after a while.
type tally struct {
	halfLife time.Duration
	counts   map[uint64]faded
	swept    time.Time
}

type faded struct {
	n  uint32
	at time.Time
}

// tallyMaximum bounds what is counted.
const tallyMaximum = 1 << 14

// now returns what is left of c.
func (c faded) now(now time.Time, halfLife time.Duration) uint32 {
	return c.n >> min(now.Sub(c.at)/halfLife, 31)
}

func (t *tally) of(key uint64, now time.Time) uint32 { return t.counts[key].now(now, t.halfLife) }

func (t *tally) add(key uint64, n uint32, now time.Time) {
	if t.counts == nil {
		t.counts = make(map[uint64]faded)
	}
	if _, known := t.counts[key]; !known && len(t.counts) >= tallyMaximum {
		t.forget(now)
	}
	t.counts[key] = faded{min(t.of(key, now)+n, 1<<10), now}
}

// forget makes space: of what has become nothing, or of anything.
func (t *tally) forget(now time.Time) {
	if now.Sub(t.swept) >= t.halfLife {
		t.swept = now
		for key, c := range t.counts {
			if c.now(now, t.halfLife) == 0 {
				delete(t.counts, key)
			}
		}
	}
	for key := range t.counts {
		if len(t.counts) < tallyMaximum {
			return
		}
		delete(t.counts, key)
	}
}
