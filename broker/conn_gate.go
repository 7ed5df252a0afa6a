package broker

import (
	"sync"
	"sync/atomic"
)

// gate is an event that happens once. Its channel is made only when a goroutine
// waits, which for most connections is never.
type gate struct {
	mu     sync.Mutex // guards the rest; a leaf
	opened bool
	c      chan struct{}
}

// open releases all goroutines that wait. It must be called once.
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

// bell is an event that happens repeatedly, for a goroutine that waits for it only at
// times.
type bell struct{ c atomic.Pointer[chan struct{}] }

// ring signals the event. It never waits.
func (b *bell) ring() {
	if c := b.c.Load(); c != nil {
		select {
		case *c <- struct{}{}:
		default:
		}
	}
}

// listen returns a channel that holds one signal. Events before the first call of
// listen are not signalled: the caller has to check for them after that call.
func (b *bell) listen() <-chan struct{} {
	if b.c.Load() == nil {
		b.c.CompareAndSwap(nil, new(make(chan struct{}, 1)))
	}
	return *b.c.Load()
}
