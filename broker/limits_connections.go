package broker

import (
	"net/netip"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/census"
)

// doors decides who may come in and who has to go for that. Three kinds of connections
// count apart from each other: those that have not sent CONNECT, those that wait for
// an answer to it, and clients. A connection that is refused or has ended is none of
// them, however long it takes to be told so.
type doors struct {
	limit int // of clients; as many may wait, and be silent, but a few in any case

	mu      sync.Mutex // guards the rest; a leaf
	silent  *census.Census[netip.Addr, evictable]
	waiting int
	bulky   *census.Census[netip.Addr, evictable] // of the silent and those who wait
	clients *census.Census[string, evictable]     // by their tenants
}

// evictable is a connection that doors may end for the sake of another.
type evictable interface {
	cut()   // at once
	evict() // as a client, which is told
}

// standing is what a connection counts as; doors.mu guards it.
type standing struct {
	silent *census.Member[netip.Addr, evictable]
	waits  bool
	bulky  *census.Member[netip.Addr, evictable]
	client *census.Member[string, evictable]
}

const (
	// excessMaximum is how many connections are kept beside the clients in any case,
	// until they can be told that they are too many.
	excessMaximum = 64
	// silentPatience is how long a silent connection is left alone when those who come
	// cannot hope for more than to be told so.
	silentPatience = 250 * time.Millisecond
	// lingerMaximum is how many refused connections are kept until the peer has read
	// why.
	lingerMaximum = 256
)

func newDoors(limit int) doors {
	return doors{limit: limit, silent: census.New[netip.Addr, evictable](), bulky: census.New[netip.Addr, evictable](), clients: census.New[string, evictable]()}
}

// excess is how many connections may be silent, and how many may wait.
func (d *doors) excess() int { return max(d.limit, excessMaximum) }

// arrive counts a new connection. When too many are silent, the one that has been
// so for the longest time loses its place, of the address that has most of them. It
// reports whether there is space.
func (d *doors) arrive(v evictable, s *standing, addr netip.Addr) (loser *census.Member[netip.Addr, evictable], fits bool) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.silent.Len() >= d.excess() {
		if loser = longestSilent(d.silent, addr, now, d.clients.Len() >= d.limit); loser == nil {
			return nil, false
		}
		d.silent.Remove(loser)
	}
	s.silent = d.silent.Add(addr, v, now)
	return loser, true
}

// longestSilent returns which member of w has to go for another one from addr; nil:
// nobody. One that is left alone for a while goes at once only for an address that has
// fewer of them.
func longestSilent[C any](w *census.Census[netip.Addr, C], addr netip.Addr, now time.Time, patient bool) *census.Member[netip.Addr, C] {
	busiest, most := w.Busiest()
	if busiest == nil || patient && most <= w.Count(addr)+1 && now.Sub(busiest.First().Since) < silentPatience {
		return nil
	}
	return busiest.First()
}

// sentConnect says that a connection has sent CONNECT. It reports whether it may wait
// for an answer.
func (d *doors) sentConnect(s *standing) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent.Remove(s.silent)
	s.silent = nil
	if d.waiting >= d.excess() {
		return false
	}
	d.waiting++
	s.waits = true
	return true
}

// isFull reports whether another client of a tenant would be one too many, and takes
// nobody's place.
func (d *doors) isFull(tenant string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, fits := d.placeLocked(tenant)
	return !fits
}

// placeLocked returns who has to go for another client of a tenant, nil if nobody has
// to, and whether there is space at all. It is the last that came of the tenant with
// most clients. Called with doors.mu held.
func (d *doors) placeLocked(tenant string) (loser *census.Member[string, evictable], fits bool) {
	if d.clients.Len() < d.limit {
		return nil, true
	}
	busiest, most := d.clients.Busiest()
	if most <= d.clients.Count(tenant)+1 {
		return nil, false
	}
	return busiest.Last(), true
}

// enter counts a connection among the clients of a tenant; instead says that another
// connection of the same client goes, so that there is space in any case. It reports
// whether there is.
func (d *doors) enter(v evictable, s *standing, tenant string, instead bool) bool {
	d.mu.Lock()
	loser, fits := d.placeLocked(tenant)
	if fits && !instead && loser != nil {
		d.clients.Remove(loser)
	}
	if fits || instead {
		s.client = d.clients.Add(tenant, v, time.Now())
	}
	d.mu.Unlock()
	if fits && !instead && loser != nil {
		loser.Value.evict()
	}
	return fits || instead
}

// leave is the end of a connection as far as it counts.
func (d *doors) leave(s *standing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent.Remove(s.silent)
	d.bulky.Remove(s.bulky)
	d.clients.Remove(s.client)
	if s.waits {
		d.waiting--
	}
	*s = standing{}
}

// answered says that a connection waits for no answer to CONNECT any more.
func (d *doors) answered(s *standing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.waits {
		s.waits = false
		d.waiting--
	}
	d.bulky.Remove(s.bulky)
	s.bulky = nil
}

// bulk says that a connection has begun a CONNECT that needs a large buffer. If too
// many have, one of them ends.
func (d *doors) bulk(v evictable, s *standing, addr netip.Addr) {
	var loser *census.Member[netip.Addr, evictable]
	d.mu.Lock()
	if s.bulky == nil {
		now := time.Now()
		if d.bulky.Len() >= bulkyMaximum {
			loser = longestSilent(d.bulky, addr, now, false)
			d.bulky.Remove(loser)
		}
		s.bulky = d.bulky.Add(addr, v, now)
	}
	d.mu.Unlock()
	if loser != nil {
		loser.Value.cut()
	}
}
