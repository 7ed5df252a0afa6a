// Package logins decides which password is checked next.
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

// maximum is how many logins may wait. Beyond that the one that would be checked last
// is refused.
const maximum = 1024

// Queue decides which password is checked next. A check takes a processor's time, which
// an attacker wants to use up.
//
// First come users that have logged in from the same address before. Then come the logins
// whose address, network and user had few wrong passwords lately. Among equals the latest
// comes first: an attacker has to come again for each guess, and a login that has waited
// long may have been given up. Whether the user exists makes no difference.
type Queue struct {
	seed maphash.Seed

	mu      sync.Mutex // guards the rest; a leaf
	waiting []*Login
	faults  tally
	known   tally // correct logins of users at an address
}

// Login is a login that waits.
type Login struct {
	user, address, network, both uint64

	admitted chan struct{} // closed when its password may be checked
	refused  chan struct{} // closed when it is refused
}

// New returns an empty queue.
func New() *Queue {
	return &Queue{seed: maphash.MakeSeed(), faults: tally{halfLife: time.Minute}, known: tally{halfLife: time.Hour}}
}

// Login returns a login of a user from an address.
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

// Wait waits for a slot. If it returns true, the caller has the slot and has to take
// one value from slots afterwards. It returns false if the login is refused or ctx
// ends first.
func (q *Queue) Wait(ctx context.Context, w *Login, slots chan struct{}) bool {
	q.join(w)
	for {
		select {
		case slots <- struct{}{}:
			// The goroutine that gets a slot passes it to the best login.
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

// join adds w to the queue. If the queue is too long, it refuses the worst login.
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

// next removes the best login from the queue and returns it, or nil if the queue is
// empty. It admits the login unless that is own.
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

// quit removes w from the queue. It returns false if w is no longer in it.
func (q *Queue) quit(w *Login) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, w)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// knownFaults is how many wrong passwords are forgiven for a user at an address where
// it has logged in before.
const knownFaults = 3

// rankLocked returns how late a login comes: the lowest rank first. Called with q.mu
// held.
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

// fault is something that a wrong password counts against. A few wrong passwords are
// pardoned where many honest users may share it.
type fault struct {
	key    uint64
	pardon uint32
}

func (w *Login) faults() [3]fault {
	return [3]fault{{w.address, 1}, {w.network, 8}, {w.user, 64}}
}

// networkOf returns the large network around an address, all of whose addresses one
// attacker may own.
func networkOf(address netip.Addr) netip.Prefix {
	length := 16
	if address.Is6() {
		length = 40
	}
	network, _ := address.Prefix(length) // the zero Prefix for the zero Addr
	return network
}

// Learn notes whether the password was right.
func (q *Queue) Learn(w *Login, right bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if right {
		q.known.add(w.both, 1<<10, now) // lasts ten half-lives
		return
	}
	for _, f := range w.faults() {
		q.faults.add(f.key, 1, now)
	}
	q.faults.add(w.both, 1, now)
}

// tally counts events. The counts halve after each half-life.
type tally struct {
	halfLife time.Duration
	counts   map[uint64]faded
	swept    time.Time
}

type faded struct {
	n  uint32
	at time.Time
}

// tallyMaximum bounds the number of counts.
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

// forget makes space. It removes the counts that have become zero, and then any
// others.
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
