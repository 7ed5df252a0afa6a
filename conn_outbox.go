package mqtt

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// outbox is the right to write to a connection and the record of what was written. The
// right has one holder at a time. The hand-over is always the same: the holder takes
// the bytes that have gathered in the engine (takeLocked), writes them without any
// lock, and gives the right back (wroteLocked). Goroutines that add packets meanwhile
// leave them to the holder.
//
// The holder is the writer, which is a goroutine of the connection. On a socket it may
// also be a publisher or the reader: it acquires the right under the lock
// (acquireLocked) and must then call writeDirect, which takes, writes and gives back,
// or leaves the rest to the writer (leaveRestLocked).
//
// engine.mu guards all fields except wake. Any goroutine may call a method while it
// holds that lock; takeLocked, leaveRestLocked and wroteLocked are for the holder,
// resumeLocked and sleepLocked for the writer.
type outbox struct {
	wake       chan struct{} // one token: there is something for the writer
	writerOnly bool          // only the writer may have the right

	held     bool          // the right has a holder
	asleep   bool          // the writer waits for wake
	gather   gathering     // likewise, for a moment
	alone    uint8         // messages in a row that were the only one in flight
	buffer   []byte        // what the holder writes
	rest     []byte        // of it, what a direct write leaves to the writer
	spare    []byte        // the next buffer
	taken    uint64        // buffers taken from the engine
	written  uint64        // of them, written
	lossy    uint64        // the last of them that has, or will have, a QoS 0 message
	trimmed  uint64        // taken when trimLocked was last called
	progress chan struct{} // closed when written advances; nil: no goroutine waits
}

const (
	// provenAlone is how many messages in a row were alone before a publisher writes
	// its own.
	provenAlone = 4

	maxSpare   = 4 << 20 // the largest write buffer that is used again
	idleBuffer = 4 << 10 // the largest that an idle connection keeps
)

// wakeWriter wakes the writer. It needs no lock.
func (o *outbox) wakeWriter() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// needsWakeLocked reports whether the caller has to wake the writer for what was added,
// by wakeWriter after unlocking. That is so if the writer sleeps, and does not gather what
// was added, and the right has no holder. It answers true once: the writer then counts as
// awake.
func (o *outbox) needsWakeLocked(engine *session.Client) bool {
	if !o.asleep || o.held || o.gather.holdsLocked(engine) {
		return false
	}
	o.asleep = false
	return true
}

// reserveLocked reserves the right to write for the writer from now on.
func (o *outbox) reserveLocked() { o.writerOnly = true }

// acquireLocked gives the right to a goroutine other than the writer, and reports
// whether it could. After true the caller has to unlock and call writeDirect.
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

// resumeLocked is called by the writer when it wakes. It returns what a direct write
// has left to write, or free if the writer may take from the engine. Otherwise another
// goroutine has the right and will write what is there; the writer then counts as
// asleep.
func (o *outbox) resumeLocked() (rest []byte, free bool) {
	o.asleep, o.gather.on = false, false
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

// gatherLocked reports whether the writer, which has just written, is to wait for wake for up
// to gatherTime before it takes what is there.
func (o *outbox) gatherLocked(engine *session.Client) bool {
	o.asleep = o.gather.beginLocked(engine)
	return o.asleep
}

// takeLocked takes what waits to be written, up to the payload of lent, and with it the
// right to write.
func (o *outbox) takeLocked(engine *session.Client, lent *session.Outgoing, now time.Time) []byte {
	o.held = true
	o.gather.takenLocked(engine) // before that lets go what waits, which is no stream
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
	o.gather.last = len(o.buffer)
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

// endProgressLocked wakes the goroutines that wait for a write: one has ended, or the
// connection has.
func (o *outbox) endProgressLocked() {
	if o.progress != nil {
		close(o.progress)
		o.progress = nil
	}
}

// addedLossyLocked notes that publishNow has added a QoS 0 message to the buffer to be taken
// next.
func (o *outbox) addedLossyLocked() {
	o.lossy = o.taken + 1
	o.gather.stream++
}

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

// trimLocked frees a large buffer if nothing was written since it was last called. It
// reports whether nothing was.
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
