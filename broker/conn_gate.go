package broker

import (
	"sync"
	"sync/atomic"
)

// gate is something that happens once. Its channel is only made when somebody waits,
// which for most connections is never.
type gate struct {
	mu     sync.Mutex // guards the rest; a leaf
	opened bool
	c      chan struct{}
}

// open lets everybody through; call it once.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = true
	if g.c != nil {
		close(g.c)
	}
}

// wait returns a channel that is closed once the gate is open.
func (g *gate) wait() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.c == nil {
		g.c = make(chan struct{})
		if g.opened {
			close(g.c)
		}
	}
	return g.c
}

// bell is rung again and again, for a goroutine that listens now and then.
type bell struct{ c atomic.Pointer[chan struct{}] }

// ring never waits.
func (b *bell) ring() {
	if c := b.c.Load(); c != nil {
		select {
		case *c <- struct{}{}:
		default:
		}
	}
}

// listen returns a channel that holds one ring. What was rung for before the
// first call has to be looked for after it.
func (b *bell) listen() <-chan struct{} {
	if b.c.Load() == nil {
		b.c.CompareAndSwap(nil, new(make(chan struct{}, 1)))
	}
	return *b.c.Load()
}
