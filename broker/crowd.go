package broker

import (
	"container/list"
	"net"
	"net/netip"
	"time"
)

// crowd is connections by whom they are of, an address or a user. It knows who has
// most of them, for when there are too many. It is not safe for concurrent use.
type crowd[K comparable] struct {
	line   list.List // of *guest[K], in the order of their coming
	places map[K]*place[K]
	levels []map[*place[K]]struct{} // places by their number of guests
	top    int                      // the highest level that has one
}

// guest is one of a crowd.
type guest[K comparable] struct {
	place *place[K]
	since time.Time
	leave func() // ends the connection without waiting
	all   *list.Element
	own   *list.Element
}

// place is the guests of one address or user.
type place[K comparable] struct {
	key  K
	line list.List // of *guest[K], in the order of their coming
}

func newCrowd[K comparable]() *crowd[K] {
	return &crowd[K]{places: make(map[K]*place[K]), levels: make([]map[*place[K]]struct{}, 1)}
}

func (w *crowd[K]) len() int { return w.line.Len() }

// count returns how many guests there are of key.
func (w *crowd[K]) count(key K) int {
	if p := w.places[key]; p != nil {
		return p.line.Len()
	}
	return 0
}

// add takes in a guest.
func (w *crowd[K]) add(key K, now time.Time, leave func()) *guest[K] {
	p := w.places[key]
	if p == nil {
		p = &place[K]{key: key}
		w.places[key] = p
	}
	g := &guest[K]{place: p, since: now, leave: leave}
	g.all, g.own = w.line.PushBack(g), p.line.PushBack(g)
	w.move(p, p.line.Len()-1)
	return g
}

// remove takes out a guest; nil, or one that is gone already, changes nothing.
func (w *crowd[K]) remove(g *guest[K]) {
	if g == nil || g.all == nil {
		return
	}
	p := g.place
	w.line.Remove(g.all)
	p.line.Remove(g.own)
	g.all, g.own = nil, nil
	w.move(p, p.line.Len()+1)
	if p.line.Len() == 0 {
		delete(w.places, p.key)
	}
}

// move puts p on its level, one above or below where it was.
func (w *crowd[K]) move(p *place[K], was int) {
	n := p.line.Len()
	delete(w.levels[was], p)
	if len(w.levels[was]) == 0 {
		w.levels[was] = nil // a map does not shrink
	}
	if n > 0 {
		if n == len(w.levels) {
			w.levels = append(w.levels, nil)
		}
		if w.levels[n] == nil {
			w.levels[n] = make(map[*place[K]]struct{})
		}
		w.levels[n][p] = struct{}{}
	}
	if n > w.top || w.top == was && w.levels[was] == nil {
		w.top = n
	}
}

// first returns the guest that has been here the longest; nil: there is none.
func (w *crowd[K]) first() *guest[K] { return guestOf[K](w.line.Front()) }

// busiest returns one of the places with most guests; nil: there is none.
func (w *crowd[K]) busiest() *place[K] {
	for p := range w.levels[w.top] {
		return p
	}
	return nil
}

func guestOf[K comparable](e *list.Element) *guest[K] {
	if e == nil {
		return nil
	}
	return e.Value.(*guest[K])
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
