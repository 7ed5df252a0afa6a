package mqtt

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// writeLoop writes what has gathered in the engine while the last write was
// under way: the busier the connection, the fewer the writes.
func (k *conn) writeLoop(ctx context.Context) error {
	n := &k.notices
	wrote := false
	for {
		b, leaving := k.exchange(n, wrote)
		if leaving != nil {
			return k.sayGoodbye(ctx, leaving)
		}
		if wrote = b != nil; wrote {
			if err := k.write(b); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			continue
		}
		select {
		case <-k.outbox.wake:
			// Let publishers that are ready to run add their packets first.
			runtime.Gosched()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// exchange ends the writer's last write, if there was one, and returns what there
// is to write now. If there is nothing, it returns nil and the writer counts as
// asleep, or why the connection is to be left.
func (k *conn) exchange(n *notices, wrote bool) (b []byte, leaving error) {
	now := time.Now()
	k.engine.mu.Lock()
	if wrote {
		k.wroteLocked(now)
	}
	b, free := k.outbox.resumeLocked()
	if free {
		k.acks.handLocked(k.engine.Client)
		switch {
		case k.engine.Pending() > 0:
			b = k.outbox.takeLocked(k.engine.Client, nil, now)
		case k.leaving != nil:
			leaving = k.leaving
		default:
			k.outbox.sleepLocked()
		}
	}
	k.engine.unlock(n)
	if free && k.log != nil {
		k.log.wrote(b)
	}
	return b, leaving
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
