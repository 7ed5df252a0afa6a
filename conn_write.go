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
	e := &k.notices
	wrote := false
	for {
		b, leaving := k.exchange(e, wrote)
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
		case <-k.wake:
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
func (k *conn) exchange(e *notices, wrote bool) (b []byte, leaving error) {
	c := k.client
	var flushed chan struct{}
	now := time.Now()
	c.engine.mu.Lock()
	if wrote {
		flushed = k.wrote(now)
	}
	fresh := false
	switch {
	case k.out.rest != nil:
		b, k.out.rest = k.out.rest, nil
		k.out.asleep = false
	case k.out.busy:
		k.out.asleep = true // whoever writes looks after what comes meanwhile
	default:
		c.holds.hand(c.engine.Client)
		if c.engine.Pending() > 0 {
			b, fresh = k.take(e, nil, now), true
			k.out.asleep = false
		} else {
			leaving = k.leaving
			k.out.asleep = leaving == nil
		}
	}
	c.engine.mu.Unlock()
	k.announce(flushed)
	e.send()
	if fresh {
		k.trace.wrote(b)
	}
	return b, leaving
}

// take takes what waits to be written, up to the payload of lent. Called with
// engine.mu held.
func (k *conn) take(e *notices, lent *session.Outgoing, now time.Time) []byte {
	c := k.client
	k.out.busy = true
	k.out.buffer = c.engine.TakeBefore(lent, k.out.spare, now)
	k.out.spare = nil
	k.out.taken++
	c.engine.collectLocked(e)
	return k.out.buffer
}

// wrote notes that what was taken is written; it becomes the next buffer but one.
// The result has to be closed, unless it is nil. Called with engine.mu held.
func (k *conn) wrote(now time.Time) (flushed chan struct{}) {
	if k.client.engine.conn == k { // a direct write may outlive the connection
		k.client.engine.Wrote(now)
		k.ping.wrote(k.client.engine.Client, k.nc)
	}
	k.out.busy = false
	k.out.written++
	if b := k.out.buffer; cap(b) <= maxSpare {
		k.out.spare = b[:0]
	}
	k.out.buffer = nil
	flushed, k.out.flushed = k.out.flushed, nil
	return flushed
}

// trim gives back large buffers if nothing was written since it was last
// called. Called with engine.mu held.
func (k *conn) trim() {
	if k.out.taken != k.out.trimmed {
		k.out.trimmed = k.out.taken
		return
	}
	if cap(k.out.spare) > idleBuffer {
		k.out.spare = nil
	}
	k.client.engine.Trim(idleBuffer)
	k.client.holds.trim()
}

const (
	maxSpare   = 4 << 20 // the largest write buffer that is used again
	idleBuffer = 4 << 10 // the largest that an idle connection keeps

	trimInterval = time.Minute
)

// write writes all of b, however long that takes: it is line that gives up when
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

// progress returns a channel that is closed after the next write, or with the
// connection. Called with engine.mu held.
func (k *conn) progress() <-chan struct{} {
	if k.out.flushed == nil {
		k.out.flushed = make(chan struct{})
	}
	return k.out.flushed
}
