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

// arrivals is a conn that counts what arrives.
type arrivals conn

func (a *arrivals) Read(b []byte) (int, error) {
	n, err := a.nc.Read(b)
	if n > 0 {
		a.traffic.received.Add(uint64(n))
	}
	return n, err
}

// readLoop takes what arrives, one lock for most packets of a read, and hands
// messages to the receiver. It waits for a consumer only under the Block policy and, for
// a bounded time, where a QoS 1 or 2 message finds a full queue.
func (k *conn) readLoop(ctx context.Context) error {
	defer k.receiver.wakeConsumers()
	for {
		if err := k.reader.Fill(); err != nil {
			if !isFault(err) {
				return readError(err)
			}
			if err := k.refuse(ctx, err); err != nil {
				return err
			}
		}
		if err := k.takeBatch(ctx); err != nil {
			if err := k.refuse(ctx, err); err != nil {
				return err
			}
		}
	}
}

// batch is what a reader needs while it does not wait: decoded packets lie in it, and
// what follows from them.
type batch struct {
	session.Batch
	notices notices
}

// batches holds those that no reader needs.
var batches = sync.Pool{New: func() any { return new(batch) }}

// takeBatch takes a part of what is buffered. What is left follows with the next call.
func (k *conn) takeBatch(ctx context.Context) error {
	b := batches.Get().(*batch)
	n := &b.notices
	defer batches.Put(b)
	defer k.decoder.Recycle() // nothing of this read is kept until the next
	defer b.Recycle()
	there := k.reader.Buffered()
	if !b.Decode(&k.decoder, k.reader) { // as long as that takes: nobody waits for a lock
		return nil
	}
	if k.log != nil {
		k.log.read(there[:len(there)-len(k.reader.Buffered())])
	}
	now := time.Now()
	k.engine.mu.Lock()
	waiting := k.engine.Pending() > 0
	err := k.engine.HandleBatch(&b.Batch, now)
	received, refused := b.Received(), k.engine.Refused(nil)
	flooded := k.engine.Backlog() > maxAnswers
	direct := !waiting && k.engine.Pending() > 0 && k.outbox.acquireLocked()
	k.engine.collectLocked(n)
	// Those whose messages are acknowledged publish the next, all in one write.
	several := !waiting && len(n.completed) > 1 && k.outbox.acquireLocked()
	k.engine.mu.Unlock()
	k.tolerance.report() // before anybody hears of what the mistakes were about
	k.traffic.messages.Add(uint64(len(received) + len(refused)))
	n.sendOutgoing()
	if several {
		runtime.Gosched()
	}
	if direct || several {
		k.writeDirect(nil)
	}
	if len(received) > 0 || len(refused) > 0 {
		k.receiver.deliver(ctx, received)
		k.receiver.tellRefused(refused)
	}
	n.sendAnswers() // what came before them is delivered by now
	if flooded && err == nil {
		k.receiver.wakeConsumers()
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
		k.engine.mu.Lock()
		if k.engine.Backlog() <= maxAnswers {
			k.engine.mu.Unlock()
			return nil
		}
		progress := k.outbox.progressLocked()
		k.engine.mu.Unlock()
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
