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
	// spareMaximum is the largest write buffer that an idle connection keeps, and
	// spareMinimum the one that it keeps however little of it was used.
	spareMaximum = 64 << 10
	spareMinimum = 4 << 10
)

// write sends what the session holds until it is taken away, and then what is
// left. It closes the connection, or half of it when the peer is told something.
func (c *conn) write() {
	defer close(c.signals.noWriter)
	var spare []byte
	for range c.signals.wakeup {
		for {
			// Before the look at the session, so that an ending in between can
			// shorten it.
			_ = c.net.SetWriteDeadline(time.Now().Add(c.b.cfg.WriteTimeout))
			b, last := c.take(spare)
			if last {
				c.part(b)
				return
			}
			if len(b) == 0 {
				spare = b
				break
			}
			if _, err := c.net.Write(b); err != nil {
				c.net.Close()
				return
			}
			c.signalDrained()
			spare = reusable(b)
		}
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
	if _, err := c.net.Write(b); err != nil {
		return false
	}
	half, ok := c.net.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// discard reads until either side closes.
func (c *conn) discard() { _, _ = io.Copy(io.Discard, c.net) }

// hurry makes the writer of a connection that lost its session come to an end.
func (c *conn) hurry() {
	_ = c.net.SetWriteDeadline(time.Now().Add(farewellTimeout))
	c.wake()
}

func (c *conn) wake() {
	select {
	case c.signals.wakeup <- struct{}{}:
	default:
	}
}

func (c *conn) signalDrained() {
	select {
	case c.signals.drained <- struct{}{}:
	default:
	}
}
