package broker

import (
	"io"
	"time"
)

const (
	// farewellTimeout is how long the last bytes of a connection may take.
	farewellTimeout = time.Second
	// lingerTimeout is how long a connection is kept open for reading after
	// DISCONNECT: closing a socket with unread bytes would take back what the peer
	// has not read yet.
	lingerTimeout = 200 * time.Millisecond
	// writePiece is how much the peer has to take within Config.WriteTimeout.
	writePiece = 64 << 10
	// spareMaximum is the largest write buffer that an idle connection keeps, and
	// spareMinimum the one that it keeps however little of it was used.
	spareMaximum = 64 << 10
	spareMinimum = 4 << 10
)

// The writer is a goroutine only while there is something to write: a connection is
// idle most of the time, and there are many.
const (
	writerIdle  uint32 = iota
	writerRuns         // it looks once more before it goes
	writerAgain        // something came meanwhile
	writerDone         // for ever
)

// wake makes the writer look for something to write. It never waits.
func (c *conn) wake() {
	state := &c.signals.writer
	for {
		switch s := state.Load(); s {
		case writerIdle:
			if state.CompareAndSwap(s, writerRuns) {
				go c.write() // run waits for the last one
				return
			}
		case writerRuns:
			if state.CompareAndSwap(s, writerAgain) {
				return
			}
		default:
			return
		}
	}
}

// write sends what the session holds. When that was taken away it sends what is
// left and closes the connection, or half of it when the peer is told something.
func (c *conn) write() {
	state := &c.signals.writer
	for {
		if !c.writePending() {
			state.Store(writerDone)
			close(c.signals.noWriter)
			return
		}
		if state.CompareAndSwap(writerRuns, writerIdle) {
			return
		}
		state.Store(writerRuns)
	}
}

// writePending reports whether the connection goes on.
func (c *conn) writePending() bool {
	for {
		b, last := c.take(c.spare)
		if last {
			c.part(b)
			return false
		}
		if len(b) == 0 {
			c.spare = b
			// TLS answers a renewal of keys while it reads.
			_ = c.net.SetWriteDeadline(time.Time{})
			return true
		}
		if err := c.writeOut(b); err != nil {
			c.net.Close()
			return false
		}
		c.signalDrained()
		c.spare = reusable(b)
	}
}

// reusable returns b as the next buffer, or nil if it is much larger than what is
// written lately.
func reusable(b []byte) []byte {
	if cap(b) > spareMaximum || cap(b) > spareMinimum && len(b) < cap(b)/8 {
		return nil
	}
	return b
}

func (c *conn) take(spare []byte) (b []byte, last bool) {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return c.last.bytes, true
	}
	if cl.link.Pending() == 0 {
		return spare[:0], false
	}
	b = cl.link.Take(spare)
	cl.sender.Pump(time.Now())
	cl.settle(&c.b.counts)
	return b, false
}

// part writes the last bytes and closes. A peer that is told why gets the time
// to read it.
func (c *conn) part(b []byte) {
	defer c.net.Close()
	if !c.writeLast(b) || !c.last.told {
		return
	}
	timer := time.NewTimer(lingerTimeout)
	defer timer.Stop()
	select {
	case <-c.signals.noReader:
	case <-timer.C:
	}
}

// writeLast writes b and closes half of the connection. [MQTT-4.13.2-1] whoever
// calls it closes the rest, even if b could not be sent.
func (c *conn) writeLast(b []byte) bool {
	_ = c.net.SetWriteDeadline(time.Now().Add(min(farewellTimeout, c.b.cfg.WriteTimeout)))
	if c.transmit(b) != nil {
		return false
	}
	half, ok := c.net.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// discard reads until either side closes.
func (c *conn) discard() { _, _ = io.Copy(io.Discard, c.net) }

// hurry makes the writer of a connection that lost its session come to an end.
func (c *conn) hurry() {
	until := time.Now().Add(farewellTimeout)
	c.signals.until.Store(&until)
	_ = c.net.SetWriteDeadline(until)
	c.wake()
}

// writeOut writes b in pieces, so that a slow peer is only given up when it takes
// nothing at all.
func (c *conn) writeOut(b []byte) error {
	for len(b) > 0 {
		piece := b[:min(len(b), writePiece)]
		if err := c.net.SetWriteDeadline(time.Now().Add(c.b.cfg.WriteTimeout)); err != nil {
			return err
		}
		// After that, so that it is not overtaken by it.
		if until := c.signals.until.Load(); until != nil {
			if err := c.net.SetWriteDeadline(*until); err != nil {
				return err
			}
		}
		if err := c.transmit(piece); err != nil {
			return err
		}
		b = b[len(piece):]
	}
	return nil
}

// transmit writes b under the deadline that is set.
func (c *conn) transmit(b []byte) error {
	n, err := c.net.Write(b)
	c.b.counts.bytesSent.Add(uint64(n))
	return err
}

func (c *conn) signalDrained() {
	select {
	case c.signals.drained <- struct{}{}:
	default:
	}
}
