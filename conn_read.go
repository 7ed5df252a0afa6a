package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// arrivals counts what arrives.
type arrivals struct{ k *conn }

func (a arrivals) Read(b []byte) (int, error) {
	n, err := a.k.nc.Read(b)
	if n > 0 {
		a.k.client.engine.counters.bytesReceived.Add(uint64(n))
	}
	return n, err
}

// readLoop takes what arrives, one lock for most packets of a read, and hands
// messages to the subscriptions. It never waits for whoever consumes them,
// except under the Block policy.
func (k *conn) readLoop(ctx context.Context) error {
	var e notices
	defer k.wakeConsumers()
	k.client.engine.mu.Lock()
	k.decoder = k.client.engine.Decoder()
	k.client.engine.mu.Unlock()
	for {
		if err := k.reader.Fill(); err != nil {
			if !isFault(err) {
				return readError(err)
			}
			if err := k.refuse(ctx, err); err != nil {
				return err
			}
		}
		if err := k.takeBatch(ctx, &e); err != nil {
			if err := k.refuse(ctx, err); err != nil {
				return err
			}
		}
	}
}

// refuse breaks the connection off because of err, unless it can be overlooked.
func (k *conn) refuse(ctx context.Context, err error) error {
	overlooked, failed := k.overlook(err)
	switch {
	case overlooked:
		return nil
	case failed != nil:
		if err = failed; !isFault(err) {
			return err
		}
	}
	return k.breakOff(ctx, err)
}

// batches holds what decoded packets lie in while no reader needs it.
var batches = sync.Pool{New: func() any { return new(session.Batch) }}

// takeBatch takes a part of what is buffered. What is left follows with the next call.
func (k *conn) takeBatch(ctx context.Context, e *notices) error {
	c := k.client
	b := batches.Get().(*session.Batch)
	defer batches.Put(b)
	defer k.decoder.Recycle() // whoever waits for the next read keeps nothing of this one
	defer b.Recycle()
	there := k.reader.Buffered()
	if !b.Decode(&k.decoder, k.reader) { // as long as that takes: nobody waits for a lock
		return nil
	}
	k.trace.read(there[:len(there)-len(k.reader.Buffered())])
	now := time.Now()
	c.engine.mu.Lock()
	waiting := c.engine.Pending() > 0
	err := c.engine.HandleBatch(b, now)
	received := b.Received()
	refused := c.engine.Refused(nil)
	c.engine.counters.received += uint64(len(received) + len(refused))
	flooded := c.engine.Backlog() > maxAnswers
	lead := !waiting && k.lead()
	c.engine.collectLocked(e)
	crowd := !waiting && len(e.completed) > 1 && k.promise()
	c.engine.mu.Unlock()
	// Whoever waits for a SUBACK or UNSUBACK finds delivered what came before it.
	answered, interests, left := e.answered, e.interests, e.left
	e.answered, e.interests, e.left = nil, nil, nil
	e.send()
	if crowd {
		// Those whose messages are acknowledged publish the next, all in one write.
		runtime.Gosched()
	}
	if lead || crowd {
		k.writeDirect(nil)
	}
	k.deliver(ctx, received)
	k.tellRefused(refused)
	e.answered, e.interests, e.left = answered, interests, left
	e.send()
	if flooded && err == nil {
		k.wakeConsumers()
		return k.awaitWriter(ctx)
	}
	return err
}

// maxAnswers is how many bytes may wait to be written before the reader waits
// for the writer. Messages stop far below it, so these are answers to a server
// that asks and asks and does not read.
const maxAnswers = 4 << 20

// awaitWriter waits until little enough is left to write. The writer's deadline
// bounds the wait.
func (k *conn) awaitWriter(ctx context.Context) error {
	for {
		k.client.engine.mu.Lock()
		if k.client.engine.Backlog() <= maxAnswers {
			k.client.engine.mu.Unlock()
			return nil
		}
		progress := k.progress()
		k.client.engine.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// isFault says that the server has sent something that it may not.
func isFault(err error) bool {
	_, fault := errors.AsType[*wire.Error](err)
	return fault
}

// readError words the end of the stream for people.
func readError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errServerClosed
	}
	return fmt.Errorf("read: %w", err)
}
