package mqtt

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// writeLoop writes what has gathered in the engine while the last write was
// under way: the busier the connection, the fewer the writes.
func (k *conn) writeLoop(ctx context.Context) error {
	wrote := false
	var timer gatherTimer
	for {
		b, position, gathers, leaving := k.exchange(wrote)
		if leaving != nil {
			return k.awaitServerClose(ctx, leaving)
		}
		if wrote = b != nil; wrote {
			if err := k.engine.keeper.await(ctx, position); err != nil {
				return err
			}
			if err := k.write(b); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			continue
		}
		var over <-chan time.Time
		if gathers {
			over = timer.start()
		}
		select {
		case <-k.outbox.wake: // the end of ctx wakes us, too
		case <-over:
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !gathers {
			// Let publishers that are ready to run add their packets first.
			runtime.Gosched()
		}
	}
}

// exchange ends the writer's last write, if there was one, and returns what there
// is to write now. If there is nothing, it returns nil and the writer counts as
// asleep, or why the connection is to be left. With gathers the writer is asleep for
// gatherTime at most, because more comes. What is up to position has to be in the
// Store before b is written.
func (k *conn) exchange(wrote bool) (b []byte, position uint64, gathers bool, leaving error) {
	now := time.Now()
	k.engine.mu.Lock()
	if wrote {
		k.wroteLocked(now)
	}
	b, free := k.outbox.resumeLocked()
	if free {
		k.acks.handLocked(k.engine.Client)
		switch {
		case wrote && k.engine.Pending() > 0 && k.outbox.gatherLocked(k.engine.Client):
			gathers = true
		case k.engine.Pending() > 0:
			b = k.outbox.takeLocked(k.engine.Client, nil, now)
		case k.leaving != nil:
			leaving = k.leaving
		default:
			k.outbox.sleepLocked()
		}
	}
	position = k.engine.keeper.positionLocked()
	k.engine.unlockPooled()
	if free && k.log != nil {
		k.log.wrote(b)
	}
	return b, position, gathers, leaving
}

// trimLocked gives back large buffers if nothing was written since it was last
// called.
func (k *conn) trimLocked() {
	if k.outbox.trimLocked() {
		k.engine.Trim(idleBuffer)
		k.acks.trimLocked()
	}
}

const trimInterval = time.Minute

// write writes all of b, however long that takes: it is the network connection that gives up when
// nothing moves.
func (k *conn) write(b []byte) error {
	if k.nc.Direct() {
		b = b[k.try(b):] // most often that is all, and needs no deadline
	}
	if len(b) == 0 {
		return nil
	}
	n, err := k.nc.Write(b)
	k.noteWritten(n)
	return err
}

// On a socket a publisher that is alone or has a large payload writes for itself, and so
// does the reader: they would only wake the writer and then wait for what comes back.
// They write as much as the socket takes without waiting, outside all locks, and leave
// the rest to the writer, so that neither their context nor their time depends on the
// network. Where packets are logged the writer writes all of them: nobody else is to
// run the handler of the logger.

// directTurns is how often somebody writes, besides its own, what others have added
// meanwhile, before the writer has to.
const directTurns = 4

// writeDirect writes what waits, after acquireLocked. own is the message of the caller,
// if there is one: a large payload is written without a copy.
func (k *conn) writeDirect(own *session.Outgoing) {
	var n notices
	for turn := 0; ; turn++ {
		now := time.Now()
		k.engine.mu.Lock()
		if turn == 0 {
			k.outbox.releaseLocked()
		} else {
			k.wroteLocked(now)
		}
		k.acks.handLocked(k.engine.Client)
		more := k.presentLocked() && k.engine.Pending() > 0
		if !more || turn == directTurns {
			k.engine.mu.Unlock()
			// The writer may have found us busy and gone to sleep.
			if more || k.leaveBy.Load() != 0 {
				k.outbox.wakeWriter()
			}
			return
		}
		b := k.outbox.takeLocked(k.engine.Client, own, now)
		k.engine.unlock(&n)
		if wrote := k.try(b); wrote < len(b) {
			k.engine.mu.Lock()
			k.outbox.leaveRestLocked(b[wrote:])
			k.engine.mu.Unlock()
			k.outbox.wakeWriter()
			return
		}
		if own != nil && !k.writePayload(own) {
			turn = directTurns - 1 // the socket is full
		}
	}
}

// wroteLocked notes that what was taken is written.
func (k *conn) wroteLocked(now time.Time) {
	if k.presentLocked() { // a direct write may outlive the connection
		k.engine.Wrote(now)
		k.ping.wrote(k.engine.Client, k.nc)
	}
	k.outbox.wroteLocked()
}

// presentLocked says whether the engine is connected with k.
func (k *conn) presentLocked() bool { return k.engine.outbox == &k.outbox }

// writePayload writes what the socket takes of the payload of own, if that is what
// comes next, and reports whether it took all. The caller of a publish has it until
// then.
func (k *conn) writePayload(own *session.Outgoing) (all bool) {
	k.engine.mu.Lock()
	if !k.presentLocked() {
		k.engine.mu.Unlock()
		return true
	}
	rest := k.engine.Sender.TakePayload(own)
	k.engine.mu.Unlock()
	if len(rest) == 0 {
		return true
	}
	wrote := k.try(rest)
	k.engine.do(func(engine *session.Client) {
		if k.presentLocked() {
			engine.Sender.WrotePayload(own, wrote, time.Now())
		}
	})
	return wrote == len(rest)
}

// try writes what the socket takes of b without waiting.
func (k *conn) try(b []byte) int {
	n := k.nc.TryWrite(b)
	k.noteWritten(n)
	return n
}

// noteWritten counts bytes that were written to the connection.
func (k *conn) noteWritten(n int) {
	k.written.Add(uint64(n))
	k.traffic.sent.Add(uint64(n))
	if n > 0 {
		k.traffic.writes.Add(1)
	}
}
