package faultproxy

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// faults are the faults that are set at the moment.
type faults struct {
	blackhole Direction
	refuse    bool
	delay     time.Duration
	hold      func(context.Context) error
	cuts      []cut // for the next connections, one each

	random          *rand.Rand // nil: no random cuts
	atLeast, atMost int
}

// cut says after how many bytes a connection ends. Negative means never.
type cut struct {
	up, down int64
	reset    bool
}

var noCut = cut{up: -1, down: -1}

func (f *faults) nextCut() cut {
	if len(f.cuts) > 0 {
		next := f.cuts[0]
		f.cuts = f.cuts[1:]
		return next
	}
	if f.random == nil {
		return noCut
	}
	draw := func() int64 { return int64(f.atLeast + f.random.IntN(f.atMost-f.atLeast+1)) }
	return cut{up: draw(), down: draw(), reset: f.random.IntN(2) == 0}
}

// CutAfter ends the next connection as soon as up bytes have been passed to the
// server or down bytes to the client, whichever comes first. Not one byte more is
// passed on. Negative means never. Further calls are for the connections after it.
func (p *Proxy) CutAfter(up, down int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults.cuts = append(p.faults.cuts, cut{up: int64(up), down: int64(down)})
}

// RandomCuts ends every connection accepted from now on after a random number of
// bytes from atLeast to atMost in either direction, by RST or by FIN. The seed is
// logged; the same seed gives the same cuts. If atMost is zero, there are no cuts.
func (p *Proxy) RandomCuts(seed uint64, atLeast, atMost int) {
	if atMost > 0 {
		p.t.Logf("faultproxy: random cuts after %d to %d bytes, seed %d", atLeast, atMost, seed)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults.random, p.faults.atLeast, p.faults.atMost = nil, atLeast, max(atLeast, atMost)
	if atMost > 0 {
		p.faults.random = rand.New(rand.NewPCG(seed, 0))
	}
}

// Drop ends all connections at once with a TCP reset. It returns how many there were
// when they are gone. Bytes on their way are lost.
func (p *Proxy) Drop() int { return p.endAll(true) }

// Hangup is [Proxy.Drop] with an orderly FIN. (The operating system makes it a
// reset where bytes of the peer are still unread.)
func (p *Proxy) Hangup() int { return p.endAll(false) }

func (p *Proxy) endAll(reset bool) int {
	links := p.snapshot()
	for _, l := range links {
		l.end(reset)
	}
	for _, l := range links {
		<-l.done
	}
	return len(links)
}

func (p *Proxy) snapshot() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.links))
}

// Blackhole makes the link half-open in the given directions. Sockets stay open and
// new connections are accepted, but after it has returned neither bytes nor the end
// of a connection get through. The data that is held back flows when the direction is
// opened again. Blackhole(None) opens both directions.
func (p *Proxy) Blackhole(d Direction) {
	p.mu.Lock()
	p.faults.blackhole = d
	p.notify()
	p.mu.Unlock()
	for _, l := range p.snapshot() {
		for _, dir := range []Direction{Up, Down} {
			if d&dir != 0 {
				l.interrupt(dir)
			}
		}
	}
}

// Refuse makes the proxy close new connections right after accepting them. Existing
// connections stay open.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults.refuse = on
}

// Delay passes every piece of data on after d, in both directions. A piece has at
// most 64 KiB, so Delay also bounds the throughput.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults.delay = d
}

// HoldDown calls commit before each piece that goes down, and passes the piece on
// only if commit returns nil. After an error it drops the piece and resets the
// connection. If commit saves the state of a server that answers before it has saved,
// clients see only answers that survive a crash. Several connections call commit
// concurrently. Its context ends with the connection. If commit is nil, HoldDown
// ends.
func (p *Proxy) HoldDown(commit func(context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults.hold = commit
}
