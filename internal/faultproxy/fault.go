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
	jitter    time.Duration
	drawn     *rand.Rand // of jitter; nil: there is none
	rate      int        // bytes per second and direction; zero: no limit
	hold      func(context.Context) error
	cuts      []cut // for the next connections, one each

	random          *rand.Rand // nil: no random cuts
	atLeast, atMost int
}

// ending is how a connection ends at its cut.
type ending uint8

const (
	inOrder  ending = iota // by FIN
	byReset                // by RST
	silently               // not at all: the direction passes nothing more on
)

// cut says after how many bytes a connection ends, and how. Negative means never.
type cut struct {
	up, down int64
	how      ending
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
	return cut{up: draw(), down: draw(), how: ending(f.random.IntN(2))}
}

// CutAfter ends the next connection as soon as up bytes have been passed to the
// server or down bytes to the client, whichever comes first. Not one byte more is
// passed on. Negative means never. Further calls are for the connections after it.
func (p *Proxy) CutAfter(up, down int) { p.addCut(up, down, inOrder) }

// ResetAfter is [Proxy.CutAfter] with a TCP reset, by which the peers lose what they
// have not read yet.
func (p *Proxy) ResetAfter(up, down int) { p.addCut(up, down, byReset) }

// SilenceAfter makes the next connection pass nothing more on to the server after up
// bytes, and to the client after down bytes, each direction by itself. The connection
// stays, and its end does not get through. Negative means never.
func (p *Proxy) SilenceAfter(up, down int) { p.addCut(up, down, silently) }

func (p *Proxy) addCut(up, down int, how ending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults.cuts = append(p.faults.cuts, cut{int64(up), int64(down), how})
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

// Jitter makes each piece take a random time below window longer than Delay says, in
// both directions. Pieces keep their order. The same seed gives the same times. A window
// of zero ends it.
func (p *Proxy) Jitter(seed uint64, window time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults.jitter, p.faults.drawn = max(window, 0), nil
	if window > 0 {
		p.faults.drawn = rand.New(rand.NewPCG(seed, 0))
	}
}

// Throttle limits the bytes that each direction of each connection passes on in a
// second. Zero means no limit.
func (p *Proxy) Throttle(bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults.rate = max(bytesPerSecond, 0)
}

// latency returns how much longer a piece takes. The caller holds p.mu.
func (f *faults) latency() time.Duration {
	if f.drawn == nil {
		return f.delay
	}
	return f.delay + time.Duration(f.drawn.Int64N(int64(f.jitter)))
}

// Heal ends Blackhole, Refuse, Delay, Jitter, Throttle and RandomCuts, and the cuts of
// connections that are not open yet. A connection that is silent by itself stays so.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = faults{hold: p.faults.hold}
	p.notify()
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
