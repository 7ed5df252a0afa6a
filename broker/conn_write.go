package broker

import (
	"errors"
	"os"
	"time"
)

const (
	// farewellTimeout is how long the last bytes of a connection may take.
	farewellTimeout = time.Second
	// lingerTimeout is how long a connection is kept open for reading after
	// DISCONNECT: closing a socket with unread bytes would take back what the peer
	// has not read yet.
	lingerTimeout = 200 * time.Millisecond
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
	writerDone         // forever
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
			c.signals.noWriter.open()
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
		again := c.hub.continueWalks(c.client, c)
		b, last := c.takeBuffer(c.spare)
		if last {
			c.writeFarewell(b)
			return false
		}
		if len(b) == 0 {
			c.spare = b
			if again {
				continue
			}
			return true
		}
		if err := c.transmit(b); err != nil {
			c.endRead(err)
			return false
		}
		c.signals.drained.ring()
		c.spare = reusable(b)
	}
}

// endRead makes the reader come to its end after a write has failed. A peer that has
// reset the connection may have sent messages and DISCONNECT before: they can still be
// read, and the end is behind them.
func (c *conn) endRead(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) || c.line.Finish(time.Now().Add(farewellTimeout)) != nil {
		c.cut()
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

func (c *conn) takeBuffer(spare []byte) (b []byte, last bool) {
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
	cl.collectCompletedLocked(&c.hub.counts)
	return b, false
}

// writeFarewell writes the last bytes and closes. A peer that is told why gets the time
// to read it.
func (c *conn) writeFarewell(b []byte) {
	defer c.cut()
	if !c.writeLast(b) || !c.last.told {
		return
	}
	timer := time.NewTimer(lingerTimeout)
	defer timer.Stop()
	select {
	case <-c.signals.noReader.wait():
	case <-timer.C:
	}
}

// writeLast writes b and closes half of the connection. [MQTT-4.13.2-1] whoever
// calls it closes the rest, even if b could not be sent.
func (c *conn) writeLast(b []byte) bool {
	_ = c.line.Finish(time.Now().Add(min(farewellTimeout, c.hub.cfg.WriteTimeout)))
	if c.transmit(b) != nil {
		return false
	}
	half, ok := c.net.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// transmit writes b, however slowly the peer takes it. What counts is that it takes
// something within the limit.
func (c *conn) transmit(b []byte) error {
	n, err := c.net.Write(b)
	c.hub.counts.bytesSent.Add(uint64(n))
	return err
}
