package mqtttest

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// faults are the faults of the network that are set at the moment. Broker.mu guards
// them.
type faults struct {
	stopped   bool // no connection is accepted
	all       line
	of        map[string]line // by client identifier, for clients with settings of their own
	cuts      []pendingCut
	announced []announcement
	amnesia   amnesia
}

// line says how a connection is slowed down.
type line struct {
	halfOpen bool
	delay    time.Duration
	rate     int           // bytes per second and direction; zero: no limit
	window   time.Duration // of reordering
	random   *rand.Rand    // nil: nothing is reordered; used under Broker.mu
}

// pendingCut is a cut for the next connection.
type pendingCut struct {
	direction Direction
	after     int
	clientIDs []string // none: any
}

// Drop ends the connections of these clients, or all, at once and without a
// DISCONNECT. Packets on their way are lost. Wills are published.
func (b *Broker) Drop(clientIDs ...string) {
	for _, l := range b.matching(clientIDs) {
		l.end("by Drop", true)
	}
}

// CutAfter ends connections of these clients, or all, when n more bytes have been
// passed on in a direction. Not one byte more is passed on. It applies to the
// connections that are open. If none of them is open, it applies to the next
// connection that one of the clients opens, counted from its CONNECT. To cut at a
// packet use [Broker.CutAt].
func (b *Broker) CutAfter(d Direction, n int, clientIDs ...string) {
	links := b.matching(clientIDs)
	for _, l := range links {
		l.cutAfter(d, n)
	}
	if len(links) > 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults.cuts = append(b.faults.cuts, pendingCut{d, n, clientIDs})
}

// adopt applies the settings of a client to its link, when the client has told its
// name.
func (b *Broker) adopt(l *link, p *wire.Connect) {
	b.mu.Lock()
	at := slices.IndexFunc(b.faults.cuts, func(c pendingCut) bool {
		return len(c.clientIDs) == 0 || slices.Contains(c.clientIDs, p.ClientID)
	})
	var next pendingCut
	if at >= 0 {
		next = b.faults.cuts[at]
		b.faults.cuts = slices.Delete(b.faults.cuts, at, at+1)
	}
	b.mu.Unlock()
	if at >= 0 {
		l.cutAfter(next.direction, next.after)
	}
}

func (l *link) cutAfter(d Direction, n int) {
	if n <= 0 {
		l.end("by CutAfter", true)
		return
	}
	for _, a := range []*lane{l.up, l.down} {
		if d == Both || d == a.direction {
			a.mu.Lock()
			a.cut = n
			a.mu.Unlock()
		}
	}
}

// HalfOpen makes the network of these clients, or all, half-open. Connections stay
// and new ones are accepted. Data is accepted as long as the buffers have space, but
// nothing arrives, not even the end of a connection. It lasts until [Broker.Heal],
// after which all data flows.
func (b *Broker) HalfOpen(clientIDs ...string) {
	b.setLine(clientIDs, func(l *line) { l.halfOpen = true })
}

// Delay makes every packet of these clients, or all, take d longer, in both
// directions. Packets follow each other as closely as before: Delay adds latency and
// does not limit the throughput.
func (b *Broker) Delay(d time.Duration, clientIDs ...string) {
	b.setLine(clientIDs, func(l *line) { l.delay = d })
}

// Throttle limits the bytes that are passed on in a second, in each direction of each
// connection of these clients, or all. Zero means no limit.
func (b *Broker) Throttle(bytesPerSecond int, clientIDs ...string) {
	b.setLine(clientIDs, func(l *line) { l.rate = max(bytesPerSecond, 0) })
}

// Reorder makes each packet that the broker sends to these clients, or all, take a
// random time of up to window longer. Packets then overtake each other where the
// specification permits it: messages on different topics, acknowledgements of
// different kinds, answers to different requests. The order of the messages on one
// topic, of PUBACKs, of PUBRECs and of PUBRELs stays. Packets from the client are not
// touched. The same seed gives the same delays. A window of zero ends it.
func (b *Broker) Reorder(window time.Duration, seed uint64, clientIDs ...string) {
	b.setLine(clientIDs, func(l *line) {
		l.window, l.random = window, nil
		if window > 0 {
			l.random = rand.New(rand.NewPCG(seed, 0))
		}
	})
}

// Heal ends HalfOpen, Delay, Throttle, Reorder, Announce and every fault that has not
// happened yet, for all clients. Controls stay, and a stopped broker stays stopped.
func (b *Broker) Heal() {
	b.controls.remove(func(c *control) bool { return c.fault })
	b.mu.Lock()
	f := &b.faults
	f.all, f.of, f.cuts, f.announced = line{}, nil, nil, nil
	b.mu.Unlock()
	for _, l := range b.matching(nil) {
		for _, a := range []*lane{l.up, l.down} {
			a.mu.Lock()
			a.cut = -1
			a.mu.Unlock()
			signal(a.wake)
		}
	}
}

func (b *Broker) setLine(clientIDs []string, change func(*line)) {
	b.mu.Lock()
	if len(clientIDs) == 0 {
		change(&b.faults.all)
		for id, l := range b.faults.of {
			change(&l)
			b.faults.of[id] = l
		}
	}
	for _, id := range clientIDs {
		if b.faults.of == nil {
			b.faults.of = make(map[string]line)
		}
		l, ok := b.faults.of[id]
		if !ok {
			l = b.faults.all
		}
		change(&l)
		b.faults.of[id] = l
	}
	b.mu.Unlock()
	for _, l := range b.matching(nil) {
		signal(l.up.wake)
		signal(l.down.wake)
	}
}

// lineOf returns the settings for a link.
func (b *Broker) lineOf(l *link) line {
	id := l.id()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults.line(id)
}

func (f *faults) line(clientID string) line {
	if own, ok := f.of[clientID]; ok {
		return own
	}
	return f.all
}

// latency returns how much longer a packet takes. It may be random.
func (b *Broker) latency(l *link, p *Packet) time.Duration {
	id := l.id()
	b.mu.Lock()
	defer b.mu.Unlock()
	line := b.faults.line(id)
	d := line.delay
	if line.random != nil && p.Direction == Down {
		d += time.Duration(line.random.Int64N(int64(line.window)))
	}
	return d
}
