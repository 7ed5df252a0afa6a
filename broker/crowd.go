package broker

import (
	"net"
	"net/netip"
	"time"
)

// crowd is connections by whom they are of, an address or a user. It knows who has
// most of them, for when there are too many. It is not safe for concurrent use.
type crowd[K comparable, C any] struct {
	size   int
	places map[K]*place[K, C]
	levels []level[K, C] // by the number of guests of their places
	top    int           // the highest level that has a place
}

// guest is one of a crowd. All that a place has are in a list, the longest first.
type guest[K comparable, C any] struct {
	place      *place[K, C] // nil: it has left
	conn       C
	since      time.Time
	prev, next *guest[K, C]
}

// place is the guests of one address or user.
type place[K comparable, C any] struct {
	key         K
	size        int
	first, last *guest[K, C]
	prev, next  *place[K, C] // of its level
}

// level is the places that have as many guests. Those that have had as many for long
// come first.
type level[K comparable, C any] struct {
	first, last *place[K, C]
}

func newCrowd[K comparable, C any]() *crowd[K, C] {
	return &crowd[K, C]{places: make(map[K]*place[K, C]), levels: make([]level[K, C], 1)}
}

func (w *crowd[K, C]) len() int { return w.size }

// count returns how many guests there are of key.
func (w *crowd[K, C]) count(key K) int {
	if p := w.places[key]; p != nil {
		return p.size
	}
	return 0
}

// busiest returns a place with most guests; nil: there is none.
func (w *crowd[K, C]) busiest() *place[K, C] { return w.levels[w.top].first }

// add takes in a guest.
func (w *crowd[K, C]) add(key K, conn C, now time.Time) *guest[K, C] {
	p := w.places[key]
	if p == nil {
		p = &place[K, C]{key: key}
		w.places[key] = p
	}
	g := &guest[K, C]{place: p, conn: conn, since: now, prev: p.last}
	if p.last == nil {
		p.first = g
	} else {
		p.last.next = g
	}
	p.last = g
	w.resize(p, 1)
	return g
}

// remove takes out a guest; nil, or one that is gone already, changes nothing.
func (w *crowd[K, C]) remove(g *guest[K, C]) {
	if g == nil || g.place == nil {
		return
	}
	p := g.place
	if g.prev == nil {
		p.first = g.next
	} else {
		g.prev.next = g.next
	}
	if g.next == nil {
		p.last = g.prev
	} else {
		g.next.prev = g.prev
	}
	g.place, g.prev, g.next = nil, nil, nil
	w.resize(p, -1)
	if p.size == 0 {
		delete(w.places, p.key)
	}
}

// resize moves p one level up or down.
func (w *crowd[K, C]) resize(p *place[K, C], by int) {
	was := &w.levels[p.size]
	if p.size > 0 {
		was.unlink(p)
	}
	w.size += by
	p.size += by
	if p.size == len(w.levels) {
		w.levels = append(w.levels, level[K, C]{})
	}
	if p.size > 0 {
		w.levels[p.size].push(p)
	}
	if p.size > w.top || w.levels[w.top].first == nil {
		w.top = p.size
	}
}

func (l *level[K, C]) push(p *place[K, C]) {
	p.prev = l.last
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
}

func (l *level[K, C]) unlink(p *place[K, C]) {
	if p.prev == nil {
		l.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		l.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}

// addressOf returns what counts as one address: one of version 4, or the network of 64
// bits that a customer gets of version 6. All that have none, in memory and on Unix
// sockets, are one.
func addressOf(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !ip.Is6() {
		return ip
	}
	network, err := ip.Prefix(64)
	if err != nil {
		return ip
	}
	return network.Addr()
}
