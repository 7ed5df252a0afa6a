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

func (a *arrivals) Read(b []byte) (n int, err error) {
	if a.reading.trying {
		n, err = a.nc.TryRead(b)
	} else {
		n, err = a.nc.Read(b)
	}
	if n > 0 {
		a.traffic.received.Add(uint64(n))
	}
	return n, err
}

// readLoop takes what arrives, one lock for most packets of a read, and hands
// messages to the receiver. It waits for a consumer only under the Block policy and, for
// a bounded time, where a QoS 1 or 2 message finds a full queue. While a consumer reads
// for itself it does nothing; see reading.
func (k *conn) readLoop(ctx context.Context) error {
	defer k.receiver.rest()
	for {
		if err := k.filled(ctx, k.reader.Fill()); err != nil {
			return err
		}
		if err := k.takeBatch(ctx); err != nil {
			return err
		}
		for k.receiver.catchUp(k.reading.free()) {
			b, err := k.reading.await(ctx)
			if err := k.filled(ctx, err); err != nil {
				return err
			}
			if b == nil {
				break
			}
			if err := k.finish(ctx, b); err != nil {
				return err
			}
		}
	}
}

// filled judges the error of a Fill.
func (k *conn) filled(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case isFault(err):
		return k.refuse(ctx, err)
	}
	return readError(err)
}

// batch is what a reader needs while it does not wait: decoded packets lie in it, and
// what follows from them.
type batch struct {
	session.Batch
	notices notices
	refused []session.Refused
	fault   error // the connection cannot go on
	flooded bool  // the server does not read our answers
	direct  bool  // there are answers to write
	several bool  // several publishers go on
}

// batches holds those that no reader needs.
var batches = sync.Pool{New: func() any { return new(batch) }}

// takeBatch takes a part of what is buffered. What is left follows with the next call.
func (k *conn) takeBatch(ctx context.Context) error {
	if b := k.decodeBatch(); b != nil {
		return k.finish(ctx, b)
	}
	return nil
}

// decodeBatch decodes a part of what is buffered and has the engine handle it. It returns
// nil if there is nothing.
func (k *conn) decodeBatch() *batch {
	b := batches.Get().(*batch)
	there := k.reader.Buffered()
	if !b.Decode(&k.decoder, k.reader) { // as long as that takes: nobody waits for a lock
		batches.Put(b)
		return nil
	}
	if k.log != nil {
		k.log.read(there[:len(there)-len(k.reader.Buffered())])
	}
	now := time.Now()
	k.engine.mu.Lock()
	waiting := k.engine.Pending() > 0
	b.fault = k.engine.HandleBatch(&b.Batch, now)
	b.refused = k.engine.Refused(nil)
	b.flooded = k.engine.Backlog() > maxAnswers
	b.direct = !waiting && k.engine.Pending() > 0 && k.outbox.acquireLocked()
	k.engine.collectLocked(&b.notices)
	// Those whose messages are acknowledged publish the next, all in one write.
	b.several = !waiting && len(b.notices.completed) > 1 && k.outbox.acquireLocked()
	k.engine.mu.Unlock()
	k.traffic.messages.Add(uint64(len(b.Received()) + len(b.refused)))
	return b
}

// plain says that nothing but messages may need the reader.
func (k *conn) plain(b *batch) bool {
	return b.fault == nil && len(b.refused) == 0 && !b.flooded && !k.tolerance.pending.Load()
}

// settle tells those who wait for what b has brought, apart from messages, and writes what
// follows.
func (k *conn) settle(b *batch) {
	b.notices.sendOutgoing()
	if b.several {
		runtime.Gosched()
	}
	if b.direct || b.several {
		b.direct, b.several = false, false
		k.writeDirect(nil)
	}
}

// finish delivers b, and is the end of it.
func (k *conn) finish(ctx context.Context, b *batch) error {
	defer k.recycle(b)
	k.tolerance.report() // before anybody hears of what the mistakes were about
	k.settle(b)
	if len(b.Received()) > 0 || len(b.refused) > 0 {
		k.receiver.deliver(ctx, b.Received())
		k.receiver.tellRefused(b.refused)
	}
	b.notices.sendAnswers() // what came before them is delivered by now
	if b.fault != nil {
		return k.refuse(ctx, b.fault)
	}
	if b.flooded {
		k.receiver.wakeConsumers()
		return k.awaitWriter(ctx)
	}
	return nil
}

// recycle keeps the memory of b for the next: nothing of this read is kept until then.
func (k *conn) recycle(b *batch) {
	b.Recycle()
	b.refused, b.fault, b.flooded = nil, nil, false
	k.decoder.Recycle()
	batches.Put(b)
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
