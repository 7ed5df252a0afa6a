package broker

import (
	"context"
	"time"
)

// Close ends the broker. It sends 5.0 clients a DISCONNECT with Server shutting down
// and closes all listeners and connections. Sessions and retained messages are
// dropped, and no will is published. When it returns, no goroutine of the broker runs
// any more; do not call it from a hook.
//
// With a [Config.Store] Close commits the remaining changes. The next start finds the
// sessions, the retained messages and the wills of the sessions, which are published
// then. Close waits at most five seconds for a Commit that hangs. Such a Commit
// cannot be ended and may go on after Close has returned.
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
	_ = b.persistence.stop(ctx) // failures have been logged
	b.routines.Wait()
	for s := range locals {
		s.end()
	}
	return nil
}

// Shutdown ends the broker after its clients have received their messages. It closes
// the listeners and waits until all connected clients have got and acknowledged the
// messages that wait for them. It then disconnects the clients, 5.0 clients with a
// DISCONNECT with Server shutting down. Their wills are published meanwhile to the
// clients that are still connected, except wills with a delay. Messages that wait for
// absent clients are dropped, unless they are in [Config.Store]: when Shutdown
// returns without an error, the Store has everything that it should have.
//
// Clients can go on publishing while Shutdown waits; ctx bounds that time. If ctx
// ends first, the remaining steps are done without waiting, and Shutdown returns the
// cause of ctx. When it returns, no goroutine of the broker runs any more; do not
// call it from a hook.
func (b *Broker) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.stopping.Store(true)
	b.mu.Unlock()
	b.closeListeners()
	err := b.drain(ctx)
	// Hooks that are asked about wills have no more time than ctx either.
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

// drainInterval is how often Shutdown checks whether all clients have their messages.
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

// idle reports whether nothing waits for a connected client or for the store.
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
