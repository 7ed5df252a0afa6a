package mqtttest

import (
	"slices"
	"sync"

	"github.com/seed65a45251/mqtt/wire"
)

// Match selects the packets that a fault applies to.
type Match struct {
	// Type is the type of the packets. Zero means every type.
	Type wire.PacketType
	// Direction is the direction of the packets. Zero means both.
	Direction Direction
	// ClientID is the client of the packets. Empty means every client.
	ClientID string
	// Times is the number of packets that the fault applies to. Zero means one, a
	// negative number all.
	Times int
	// If reports whether a packet that fits the other fields is meant. It must not
	// change the packet. If nil, every such packet is meant.
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

// Control calls f for every packet of a type, in both directions, before it is passed
// on. f may drop the packet, replace it, answer it, delay it or cut the connection;
// see [Packet]. While it runs, later packets of the same direction of the same
// connection wait. Packets of one direction of a connection come one after the other;
// other packets may come at the same time, so state that f shares needs a lock. f may
// call methods of the Broker, but must not wait for packets.
//
// A type of zero stands for all types. Several functions for a packet run in the
// order of the calls of Control. The returned function ends the control; f may still
// be called for packets that are already under way.
func (b *Broker) Control(t wire.PacketType, f func(*Packet)) (stop func()) {
	return b.controls.add(Match{Type: t, Times: -1}, false, f)
}

// controls are the functions that are called for packets.
type controls struct {
	mu   sync.Mutex // guards what follows
	list []*control
}

type control struct {
	match Match
	left  int // how many packets are left; negative: no limit
	fault bool
	f     func(*Packet)
}

// add adds a control. If fault is set, Heal ends it.
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

// remove makes a new list, because other goroutines may be iterating over the old
// one.
func (cs *controls) remove(which func(*control) bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.list = slices.DeleteFunc(slices.Clone(cs.list), which)
}

// apply calls all functions that match p. They run without the lock.
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

// take counts one use of c and reports whether it was allowed.
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
