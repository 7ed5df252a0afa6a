package mqtttest

import (
	"slices"
	"sync"

	"github.com/seed65a45251/mqtt/wire"
)

// Match says which packets a fault is for.
type Match struct {
	// Type is the type of the packets. Zero means every type.
	Type wire.PacketType
	// Direction is the way they go. Zero means both.
	Direction Direction
	// ClientID is the client whose packets they are. Zero means every client.
	ClientID string
	// Times is for how many packets the fault is. Zero means one, a negative number
	// all.
	Times int
	// If, unless nil, says whether a packet that fits the rest is meant. It must not
	// change the packet.
	If func(wire.Packet) bool
}

func (m *Match) fits(p *Packet) bool {
	return m.fitsEvent(p.Packet, p.Direction, p.ClientID)
}

func (m *Match) fitsEvent(p wire.Packet, d Direction, clientID string) bool {
	return p != nil &&
		(m.Type == 0 || m.Type == p.Type()) &&
		(m.Direction == Both || m.Direction == d) &&
		(m.ClientID == "" || m.ClientID == clientID) &&
		(m.If == nil || m.If(p))
}

// Control calls f for every packet of a type, in both directions, before it is
// passed on. f may look at it, drop it, put others in its place, answer it, delay
// it or cut the connection; see [Packet]. It holds up its direction of its
// connection as long as it runs. Packets of one direction of a connection come
// one after the other, others at the same time, so what f shares needs a lock. It
// may call methods of the Broker, but must not wait for packets.
//
// A type of zero stands for all. Several functions for a packet run in the order
// in which Control was called. The returned function ends the control; packets
// under way may still be seen.
func (b *Broker) Control(t wire.PacketType, f func(*Packet)) (stop func()) {
	return b.controls.add(Match{Type: t, Times: -1}, false, f)
}

// controls are the functions that decide about packets.
type controls struct {
	mu   sync.Mutex // guards what follows
	list []*control
}

type control struct {
	match Match
	left  int // negative: no end
	fault bool
	f     func(*Packet)
}

// add adds a control; fault says that Heal ends it.
func (cs *controls) add(m Match, fault bool, f func(*Packet)) (stop func()) {
	c := &control{match: m, left: m.Times, fault: fault, f: f}
	if c.left == 0 {
		c.left = 1
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.list = append(slices.Clone(cs.list), c)
	return func() { cs.remove(func(other *control) bool { return other == c }) }
}

// remove leaves the old list as it is for those who run through it.
func (cs *controls) remove(which func(*control) bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.list = slices.DeleteFunc(slices.Clone(cs.list), which)
}

// apply lets everybody who is concerned decide about p. What the test calls runs
// without the lock.
func (cs *controls) apply(p *Packet) {
	cs.mu.Lock()
	list := cs.list
	cs.mu.Unlock()
	for _, c := range list {
		if c.match.fits(p) && cs.take(c) {
			c.f(p)
		}
	}
}

// take uses up one of the times of c.
func (cs *controls) take(c *control) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	switch {
	case c.left < 0:
		return true
	case c.left == 0:
		return false
	}
	c.left--
	if c.left == 0 {
		cs.list = slices.DeleteFunc(slices.Clone(cs.list), func(other *control) bool { return other == c })
	}
	return true
}
