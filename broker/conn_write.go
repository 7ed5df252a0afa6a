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
	// DISCONNECT. Closing a socket with unread bytes resets it, and the peer could
	// lose what it has not read yet.
	lingerTimeout = 200 * time.Millisecond
	// spareMaximum is the largest write buffer that an idle connection keeps. A
	// buffer of up to spareMinimum is kept however little of it was used.
	spareMaximum = 64 << 10
	spareMinimum = 4 << 10
)

// The writer runs as a goroutine only while there is something to write, because most
// connections are idle most of the time.
const (
	writerIdle  uint32 = iota
	writerRuns         // it checks once more before it ends
	writerAgain        // something was added meanwhile
	writerDone         // the writer has ended for good
)

// wake starts the writer, or makes it check again. It never waits.
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

// write sends what the session holds. When the session was taken away, it sends the
// last bytes and closes the connection, or half of it if the peer is told a reason.
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

// writePending writes everything that waits. It reports whether the connection
// continues.
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

// endRead makes the reader end after a failed write. A peer that has reset the
// connection may have sent messages and a DISCONNECT before: the reader still gets
// these and then the error.
func (c *conn) endRead(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) || c.line.Finish(time.Now().Add(farewellTimeout)) != nil {
		c.cut()
	}
}

// reusable returns b as the next buffer, or nil if it is much larger than the writes
// of late.
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

// writeFarewell writes the last bytes and closes. If the peer is told a reason, it gets
// the time to read it.
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

// writeLast writes b and closes the sending half of the connection. [MQTT-4.13.2-1]
// the caller closes the rest, even if b could not be sent.
func (c *conn) writeLast(b []byte) bool {
	_ = c.line.Finish(time.Now().Add(min(farewellTimeout, c.hub.cfg.WriteTimeout)))
	if c.transmit(b) != nil {
		return false
	}
	half, ok := c.net.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// transmit writes b. A slow peer is fine as long as it accepts some bytes within each
// limit.
func (c *conn) transmit(b []byte) error {
	n, err := c.net.Write(b)
	c.hub.counts.bytesSent.Add(uint64(n))
	return err
}
