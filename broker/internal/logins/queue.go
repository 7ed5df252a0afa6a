// Package logins decides whose password is checked next.
package logins

import (
	"context"
	"hash/maphash"
	"math/bits"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/census"
)

// maximum is how many logins wait for their turn. The one with the least prospects
// is refused when there are more.
const maximum = 1024

// Queue decides whose password is checked next, which takes a processor's time
// and is what an attacker wants to use up. Before everybody else come those whose
// address has logged in as the user before. Then those have precedence whose address,
// network and user had few wrong passwords lately, and among equals whoever came last:
// who guesses has to come again for each guess, and what has waited long may be given up.
// It makes no difference whether a user exists.
type Queue struct {
	seed maphash.Seed

	mu      sync.Mutex // guards the rest; a leaf
	waiting []*Login
	faults  tally
	known   tally // users at an address
}

// Login is one login that waits.
type Login struct {
	user, address, network, both uint64

	admitted chan struct{} // closed when it is its turn
	refused  chan struct{} // closed when it is refused
}

// New returns an empty queue.
func New() *Queue {
	return &Queue{seed: maphash.MakeSeed(), faults: tally{halfLife: time.Minute}, known: tally{halfLife: time.Hour}}
}

// Login describes a login of a user from an address.
func (q *Queue) Login(username string, from net.Addr) *Login {
	type both struct {
		user    string
		address netip.Addr
	}
	address := census.AddressOf(from)
	return &Login{
		user:     maphash.Comparable(q.seed, username),
		address:  maphash.Comparable(q.seed, address),
		network:  maphash.Comparable(q.seed, networkOf(address)),
		both:     maphash.Comparable(q.seed, both{username, address}),
		admitted: make(chan struct{}),
		refused:  make(chan struct{}),
	}
}

// Wait waits for one of slots, which the caller has then, and gives back. It reports
// false if the login is refused or ctx ends before.
func (q *Queue) Wait(ctx context.Context, w *Login, slots chan struct{}) bool {
	q.join(w)
	for {
		select {
		case slots <- struct{}{}:
			// Whoever gets one gives it to the best.
			switch q.next(w) {
			case w:
				return true
			case nil:
				<-slots
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
				<-slots
			case <-w.refused:
			}
			return false
		}
	}
}

// join puts w into the queue, and refuses the worst if that is too long.
func (q *Queue) join(w *Login) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, w)
	if len(q.waiting) <= maximum {
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
func (q *Queue) next(own *Login) *Login {
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
func (q *Queue) quit(w *Login) bool {
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
func (q *Queue) rankLocked(w *Login, now time.Time) int {
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

func (w *Login) faults() [3]fault {
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

// Learn notes whether the password was right.
func (q *Queue) Learn(w *Login, right bool) {
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
