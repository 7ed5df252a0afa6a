package broker

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// doors decides who may come in and who has to go for that. Three kinds of connections
// count apart from each other: those that have not sent CONNECT, those that wait for
// an answer to it, and clients. A connection that is refused or has ended is none of
// them, however long it takes to be told so.
type doors struct {
	limit int // of clients; as many may wait, and be silent, but a few in any case

	mu      sync.Mutex // guards the rest; a leaf
	silent  *crowd[netip.Addr, *conn]
	waiting int
	bulky   *crowd[netip.Addr, *conn] // of the silent and those who wait
	clients *crowd[string, *conn]     // by their tenants
}

// standing is what a connection counts as; doors.mu guards it.
type standing struct {
	silent *guest[netip.Addr, *conn]
	waits  bool
	bulky  *guest[netip.Addr, *conn]
	client *guest[string, *conn]
}

const (
	// excessMaximum is how many connections are kept beside the clients in any case,
	// until they can be told that they are too many.
	excessMaximum = 64
	// crowdPatience is how long a silent connection is left alone when those who come
	// cannot hope for more than to be told so.
	crowdPatience = 250 * time.Millisecond
	// lingerMaximum is how many refused connections are kept until the peer has read
	// why.
	lingerMaximum = 256
)

func newDoors(limit int) doors {
	return doors{limit: limit, silent: newCrowd[netip.Addr, *conn](), bulky: newCrowd[netip.Addr, *conn](), clients: newCrowd[string, *conn]()}
}

// excess is how many connections may be silent, and how many may wait.
func (d *doors) excess() int { return max(d.limit, excessMaximum) }

// arrive counts a new connection. When too many are silent, the one that has been
// so for the longest time loses its place, of the address that has most of them. It
// reports whether there is room.
func (d *doors) arrive(c *conn) (loser *guest[netip.Addr, *conn], room bool) {
	now, addr := time.Now(), addressOf(c.net.RemoteAddr())
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.silent.len() >= d.excess() {
		if loser = longestSilent(d.silent, addr, now, d.clients.len() >= d.limit); loser == nil {
			return nil, false
		}
		d.silent.remove(loser)
	}
	c.standing.silent = d.silent.add(addr, c, now)
	return loser, true
}

// longestSilent returns who of a crowd has to go for another one from addr; nil:
// nobody. One that is left alone for a while goes at once only for an address that has
// fewer of them.
func longestSilent[C any](w *crowd[netip.Addr, C], addr netip.Addr, now time.Time, patient bool) *guest[netip.Addr, C] {
	busiest := w.busiest()
	if busiest == nil || patient && w.top <= w.count(addr)+1 && now.Sub(busiest.first.since) < crowdPatience {
		return nil
	}
	return busiest.first
}

// speak says that c has sent CONNECT. It reports whether c may wait for an answer.
func (d *doors) speak(c *conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent.remove(c.standing.silent)
	c.standing.silent = nil
	if d.waiting >= d.excess() {
		return false
	}
	d.waiting++
	c.standing.waits = true
	return true
}

// hopeless reports whether another client of a tenant would be one too many, and takes
// nobody's place.
func (d *doors) hopeless(tenant string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, room := d.place(tenant)
	return !room
}

// place returns who has to go for another client of a tenant, nil if nobody has to,
// and whether there is room at all. It is the last that came of the tenant with most
// clients. doors.mu is held.
func (d *doors) place(tenant string) (loser *guest[string, *conn], room bool) {
	if d.clients.len() < d.limit {
		return nil, true
	}
	if d.clients.top <= d.clients.count(tenant)+1 {
		return nil, false
	}
	return d.clients.busiest().last, true
}

// enter counts c among the clients of a tenant; instead says that another connection
// of the same client goes, so that there is room in any case. It reports whether there
// is.
func (d *doors) enter(c *conn, tenant string, instead bool) bool {
	d.mu.Lock()
	loser, room := d.place(tenant)
	if room && !instead && loser != nil {
		d.clients.remove(loser)
	}
	if room || instead {
		c.standing.client = d.clients.add(tenant, c, time.Now())
	}
	d.mu.Unlock()
	if room && !instead && loser != nil {
		loser.conn.evict()
	}
	return room || instead
}

// leave is the end of c as far as it counts.
func (d *doors) leave(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &c.standing
	d.silent.remove(s.silent)
	d.bulky.remove(s.bulky)
	d.clients.remove(s.client)
	if s.waits {
		d.waiting--
	}
	*s = standing{}
}

// settled says that c waits for no answer to CONNECT any more.
func (d *doors) settled(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.standing.waits {
		c.standing.waits = false
		d.waiting--
	}
	d.bulky.remove(c.standing.bulky)
	c.standing.bulky = nil
}

// bulk says that c has begun a CONNECT that needs a large buffer. If too many have, one
// of them ends.
func (d *doors) bulk(c *conn) {
	var loser *guest[netip.Addr, *conn]
	d.mu.Lock()
	if c.standing.bulky == nil {
		now, addr := time.Now(), addressOf(c.net.RemoteAddr())
		if d.bulky.len() >= bulkyMaximum {
			loser = longestSilent(d.bulky, addr, now, false)
			d.bulky.remove(loser)
		}
		c.standing.bulky = d.bulky.add(addr, c, now)
	}
	d.mu.Unlock()
	if loser != nil {
		loser.conn.cut()
	}
}

// evict ends the connection of a client for the sake of another tenant.
func (c *conn) evict() {
	c.b.leave(c, ending{reason: wire.QuotaExceeded, text: "too many connections", tell: true, will: true})
}

// tenant returns whose client the connection is, as far as that is known: that of its
// user, or of its address if it has none.
func (c *conn) tenant() string {
	if name := c.peer.Username; name != "" && !c.b.cfg.open() {
		return "user " + name
	}
	return "address " + addressOf(c.net.RemoteAddr()).String()
}

// isConnected reports whether the client has a connection.
func (b *Broker) isConnected(id string) bool {
	b.mu.RLock()
	cl := b.clients[id]
	b.mu.RUnlock()
	return cl != nil && cl.online.Load()
}

// boundRequests closes connections of an HTTP server when as many as there may be
// clients are no WebSockets yet, and count for nobody else.
func (b *Broker) boundRequests() func(net.Conn, http.ConnState) {
	var mu sync.Mutex
	waiting := newCrowd[netip.Addr, net.Conn]()
	guests := make(map[net.Conn]*guest[netip.Addr, net.Conn])
	return func(nc net.Conn, state http.ConnState) {
		var out net.Conn
		mu.Lock()
		switch state {
		case http.StateNew:
			now, addr := time.Now(), addressOf(nc.RemoteAddr())
			room := true
			if waiting.len() >= b.cfg.Connections {
				loser := longestSilent(waiting, addr, now, true)
				if room = loser != nil; room {
					waiting.remove(loser)
					out = loser.conn
				} else {
					out = nc
				}
				b.counts.refused.Add(1)
			}
			if room {
				guests[nc] = waiting.add(addr, nc, now)
			}
		case http.StateHijacked, http.StateClosed:
			waiting.remove(guests[nc])
			delete(guests, nc)
		}
		mu.Unlock()
		if out != nil {
			out.Close()
		}
	}
}
