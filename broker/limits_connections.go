package broker

import (
	"net/netip"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/census"
)

// doors decides which connections may come in, and which have to go for them. It
// counts three kinds separately: connections that have not sent CONNECT (silent),
// connections that wait for the answer to it, and clients. A connection that was
// refused or has ended counts as none of these, however long its farewell takes.
type doors struct {
	limit int // of clients; as many may be silent, and as many may wait, see excess

	mu      sync.Mutex // guards the rest; a leaf
	silent  *census.Census[netip.Addr, evictable]
	waiting int
	bulky   *census.Census[netip.Addr, evictable] // connections whose CONNECT needs a large buffer
	clients *census.Census[string, evictable]     // by their tenants
}

// evictable is a connection that doors may end in favour of another.
type evictable interface {
	cut()   // ends it at once
	evict() // ends it as a client, which is told why
}

// standing is what a connection counts as. doors.mu guards it.
type standing struct {
	silent *census.Member[netip.Addr, evictable]
	waits  bool
	bulky  *census.Member[netip.Addr, evictable]
	client *census.Member[string, evictable]
}

const (
	// excessMaximum is the minimum of connections that may be silent, and of those
	// that may wait, so that they can be told that there are too many.
	excessMaximum = 64
	// silentPatience is how long a silent connection is kept when newcomers could only
	// be told that there are too many clients.
	silentPatience = 250 * time.Millisecond
	// lingerMaximum is how many refused connections are kept open so that the peer
	// can read why.
	lingerMaximum = 256
)

func newDoors(limit int) doors {
	return doors{limit: limit, silent: census.New[netip.Addr, evictable](), bulky: census.New[netip.Addr, evictable](), clients: census.New[string, evictable]()}
}

// excess returns how many connections may be silent, and how many may wait.
func (d *doors) excess() int { return max(d.limit, excessMaximum) }

// arrive counts a new connection. If too many are silent, the one that has been
// silent longest, of the address that has most of them, loses its place. It reports
// whether there is space.
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

// longestSilent returns the member of w that has to go for another one from addr, or
// nil if none has to. If patient is set, a member of less than silentPatience goes
// only for an address that has fewer members.
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

// isFull reports whether there is no place for another client of a tenant.
func (d *doors) isFull(tenant string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, fits := d.placeLocked(tenant)
	return !fits
}

// placeLocked returns the client that has to go for another client of a tenant, nil
// if none has to, and whether there is a place at all. The client that has to go is
// the latest of the tenant with most clients. Called with doors.mu held.
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

// enter counts a connection among the clients of a tenant. If instead is set, it
// replaces another connection of the same client, so there is a place in any case. It
// reports whether there is a place.
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

// leave ends the counting of a connection.
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

// answered says that a connection no longer waits for the answer to CONNECT.
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
// many connections have, one of them is cut.
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
