package mqtt

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// outbox is the right to write to a connection, and what those who write know of each
// other. The right has one holder at a time. The holder takes what has gathered in the
// engine, writes it without any lock, and says so. Whoever adds packets meanwhile
// leaves them to the holder.
//
// The holder is the writer, which is a goroutine of the connection, or, on a socket,
// a publisher or the reader; see conn_direct.go.
//
// All is guarded by engine.mu, apart from wake.
type outbox struct {
	wake       chan struct{} // one token: there is something for the writer
	writerOnly bool          // nobody but the writer may have the right

	held     bool          // somebody has the right
	asleep   bool          // the writer waits for wake
	alone    uint8         // messages in a row that were the only one in flight
	buffer   []byte        // what the holder writes
	rest     []byte        // of it, what a direct write leaves to the writer
	spare    []byte        // the next buffer
	taken    uint64        // buffers taken from the engine
	written  uint64        // of them, written
	lossy    uint64        // the last of them that has, or will have, a QoS 0 message
	trimmed  uint64        // taken when trimLocked was last called
	progress chan struct{} // closed when written advances; nil: nobody waits
}

const (
	// provenAlone is how many messages in a row were alone before a publisher writes
	// its own.
	provenAlone = 4

	maxSpare   = 4 << 20 // the largest write buffer that is used again
	idleBuffer = 4 << 10 // the largest that an idle connection keeps
)

// wakeWriter tells the writer that there is something to do. It needs no lock.
func (o *outbox) wakeWriter() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// needsWakeLocked reports whether the writer has to be woken for what has been added: it
// sleeps, and nobody else has the right to write.
func (o *outbox) needsWakeLocked() bool {
	if !o.asleep || o.held {
		return false
	}
	o.asleep = false
	return true
}

// reserveLocked reserves the right to write for the writer from now on.
func (o *outbox) reserveLocked() { o.writerOnly = true }

// acquireLocked gives the right to write to somebody else than the writer, and reports
// whether it could. The caller has to follow it up with writeDirect, without the lock.
func (o *outbox) acquireLocked() bool {
	if o.writerOnly || o.held {
		return false
	}
	o.held = true
	return true
}

// acquireForLocked is acquireLocked for the publisher of m, which was just submitted:
// if it is the only message in flight, as those before it were, or if its payload can
// be written from where it is. Otherwise the writer gathers the messages of several
// publishers.
func (o *outbox) acquireForLocked(engine *session.Client, m *session.Outgoing) bool {
	s := engine.Sender
	if s.Inflight() != 1 { // or m is at QoS 0
		o.alone = 0
	} else {
		o.alone = min(o.alone+1, provenAlone)
	}
	return (o.alone == provenAlone || s.Streams(m)) && engine.Pending() > 0 && o.acquireLocked()
}

// releaseLocked gives the right back when nothing was taken.
func (o *outbox) releaseLocked() { o.held = false }

// resumeLocked is for the writer. It returns what a direct write has left, or reports
// that the writer may take from the engine. Otherwise somebody else has the right and
// looks after what is there, and the writer counts as asleep.
func (o *outbox) resumeLocked() (rest []byte, free bool) {
	o.asleep = false
	switch {
	case o.rest != nil:
		rest, o.rest = o.rest, nil
		return rest, false
	case o.held:
		o.asleep = true
		return nil, false
	}
	return nil, true
}

// sleepLocked notes that the writer has found nothing and waits for wake.
func (o *outbox) sleepLocked() { o.asleep = true }

// takeLocked takes what waits to be written, up to the payload of lent, and with it the
// right to write.
func (o *outbox) takeLocked(engine *session.Client, lent *session.Outgoing, now time.Time) []byte {
	o.held = true
	o.buffer = engine.TakeBefore(lent, o.spare, now)
	o.spare = nil
	o.taken++
	return o.buffer
}

// leaveRestLocked leaves what is not written yet to the writer, which inherits the right.
func (o *outbox) leaveRestLocked(rest []byte) { o.rest = rest }

// wroteLocked notes that what was taken is written; its buffer becomes the next but
// one. It gives the right back.
func (o *outbox) wroteLocked() {
	o.held = false
	o.written++
	if b := o.buffer; cap(b) <= maxSpare {
		o.spare = b[:0]
	}
	o.buffer = nil
	o.endProgressLocked()
}

// progressLocked returns a channel that is closed after the next write, or with the
// connection.
func (o *outbox) progressLocked() <-chan struct{} {
	if o.progress == nil {
		o.progress = make(chan struct{})
	}
	return o.progress
}

// endProgressLocked tells those who wait for a write that one has ended, or the
// connection has.
func (o *outbox) endProgressLocked() {
	if o.progress != nil {
		close(o.progress)
		o.progress = nil
	}
}

// addedLossyLocked notes that the buffer to be taken next has a QoS 0 message.
func (o *outbox) addedLossyLocked() { o.lossy = o.taken + 1 }

// tookLossyLocked notes that the last buffer had a QoS 0 message. more says that it
// may also be in the next one: not all of it was written from where it was.
func (o *outbox) tookLossyLocked(more bool) {
	o.lossy = o.taken
	if more {
		o.lossy++
	}
}

// lossyLocked returns the number of the last buffer that has a QoS 0 message.
func (o *outbox) lossyLocked() uint64 { return o.lossy }

// writtenLocked reports whether the buffer with that number is written.
func (o *outbox) writtenLocked(buffer uint64) bool { return o.written >= buffer }

// trimLocked gives a large buffer back if nothing was written since it was last called,
// and reports that.
func (o *outbox) trimLocked() (idle bool) {
	if o.taken != o.trimmed {
		o.trimmed = o.taken
		return false
	}
	if cap(o.spare) > idleBuffer {
		o.spare = nil
	}
	return true
}
