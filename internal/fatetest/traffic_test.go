package fatetest

import (
	"sync"

	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// traffic is what the client and its servers have sent each other, in order.
type traffic struct {
	mu      sync.Mutex
	packets []passed
	news    chan struct{} // closed with the next packet; nil: nobody waits
}

type passed struct {
	direction mqtttest.Direction
	wire.Packet
}

func (r *traffic) add(p *mqtttest.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.packets = append(r.packets, passed{p.Direction, p.Packet})
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
}

func (r *traffic) changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.news == nil {
		r.news = make(chan struct{})
	}
	return r.news
}

// since returns the packets from number n on.
func (r *traffic) since(n int) []passed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.packets[n:len(r.packets):len(r.packets)]
}

func (r *traffic) len() int { return len(r.since(0)) }

// count returns how many packets of a kind have passed.
func (r *traffic) count(d mqtttest.Direction, t wire.PacketType) (n int) {
	for _, p := range r.since(0) {
		if p.direction == d && p.Type() == t {
			n++
		}
	}
	return n
}

// fate says in a word what became on the wire of the message in question from packet
// number mark on. ended says that nothing is left to be done for it.
func (r *traffic) fate(mark int, ended bool) string {
	var sent, released bool
	for _, p := range r.since(0)[:mark] {
		sent = sent || isX(p)
		released = released || p.Type() == wire.TypePubrel
	}
	for _, p := range r.since(mark) {
		switch {
		case isX(p) && p.Packet.(*wire.Publish).Duplicate:
			return "again"
		case isX(p) && sent:
			return "anew"
		case isX(p):
			return "sent"
		case released && p.Type() == wire.TypePubrel:
			return "released"
		}
	}
	switch {
	case !sent:
		return "dropped"
	case ended:
		return "finished"
	}
	return "left"
}

// isX reports whether p is the message in question on its way to the server.
func isX(p passed) bool {
	m, ok := p.Packet.(*wire.Publish)
	return ok && p.direction == mqtttest.Up && m.Topic == "t"
}
