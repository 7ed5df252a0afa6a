package broker

import (
	"context"
	"time"
)

// Close ends the broker: 5.0 clients are sent DISCONNECT with Server shutting
// down, all listeners and connections are closed, sessions and retained messages
// are gone and no will is published. When it returns nothing of the broker runs
// any more; do not call it from a hook.
//
// With a [Config.Store] Close commits what is left, and what the Store has is there
// at the next start: sessions, retained messages, and the wills of sessions, which
// are published then. A Commit that hangs is given five seconds; it is the one thing
// that cannot be ended, and goes on behind Close.
func (b *Broker) Close() error {
	b.mu.Lock()
	b.closed = true
	b.stopping.Store(true)
	for _, cl := range b.clients {
		cl.mu.Lock()
		b.cancelAlarmLocked(cl)
		cl.mu.Unlock()
	}
	b.sys.stopLocked()
	locals := b.locals
	b.locals = nil
	b.mu.Unlock()
	b.cancel()

	b.closeListeners()
	b.draining.Do(func() { close(b.drained) })
	b.endConns(nil)
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	_ = b.persistence.stop(ctx) // what fails has been logged
	b.routines.Wait()
	for s := range locals {
		s.end()
	}
	return nil
}

// Shutdown ends the broker without losing what it has for its clients. It closes
// the listeners, waits until all connected clients have got and acknowledged what
// waits for them, and tells them, 5.0 clients in a DISCONNECT with Server shutting
// down, that it is over. Their wills are published while they go, to those who are
// still there, except wills with a delay. What waits for absent clients is gone,
// unless it is in [Config.Store], where everything due is when Shutdown returns
// without an error.
//
// Clients can go on publishing while Shutdown waits; ctx bounds that. When it ends
// first the rest is done without waiting, and Shutdown returns the cause. When it
// returns nothing of the broker runs any more; do not call it from a hook.
func (b *Broker) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.stopping.Store(true)
	b.mu.Unlock()
	b.closeListeners()
	err := b.drain(ctx)
	// Hooks that are asked about wills have no more time either.
	defer context.AfterFunc(ctx, b.cancel)()
	b.endConns(nil)
	if failed := b.persistence.stop(ctx); err == nil {
		err = failed
	}
	_ = b.Close() // always nil
	return err
}

// storeTimeout is how long Close waits for the Store.
const storeTimeout = 5 * time.Second

func (b *Broker) closeListeners() {
	for _, l := range b.openListeners() {
		l.Close()
	}
}

// drainInterval is how often Shutdown looks whether clients have everything.
const drainInterval = 5 * time.Millisecond

func (b *Broker) drain(ctx context.Context) error {
	defer b.draining.Do(func() { close(b.drained) })
	ticker := time.NewTicker(drainInterval)
	defer ticker.Stop()
	for !b.idle() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
	return nil
}

// idle reports whether nothing waits for a client that is connected, or for the store.
func (b *Broker) idle() bool {
	if !b.persistence.Idle() {
		return false
	}
	for _, c := range b.openConns(nil) {
		if c.busy() {
			return false
		}
	}
	return true
}
