package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/census"
)

// read handles packets until the connection ends, and returns the reason.
func (c *conn) read() error {
	// [MQTT-3.1.2-22] any byte counts, even if the packet is incomplete.
	if err := c.line.SetReadLimit(c.keepAlive); err != nil {
		return err
	}
	// This clears the deadline of the handshake.
	if err := c.net.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	for {
		if c.enhanced.by != nil {
			if err := c.net.SetReadDeadline(c.deadline()); err != nil {
				return err
			}
		}
		// This is checked after the deadline was set, because fail wakes the reader
		// with a deadline.
		if no := c.signals.failure.Load(); no != nil {
			return no
		}
		if err := c.reader.Fill(); err != nil {
			if no := c.signals.failure.Load(); no != nil {
				return no
			}
			return err
		}
		if err := c.handleBuffered(time.Now()); err != nil {
			return err
		}
	}
}

// deadline returns when a re-authentication has to be over; zero: there is none.
func (c *conn) deadline() (t time.Time) {
	if e := &c.enhanced; e.again != nil {
		t = e.deadline
	}
	return t
}

// handleBuffered handles all packets that one read brought.
func (c *conn) handleBuffered(now time.Time) error {
	if !c.begin(now) {
		return errGone
	}
	if err := c.handleAll(now); err != nil {
		return err
	}
	c.decoder.Recycle()
	c.wake()
	return c.awaitSpace()
}

func (c *conn) handleAll(now time.Time) error {
	c.work = works.Get().(*work)
	defer func() {
		c.work.release()
		c.work = nil
	}()
	for {
		h, body, ok, err := c.reader.Next()
		if err != nil || !ok {
			return err
		}
		c.wakeBeforeHook()
		if err := c.handle(h, body, now); err != nil {
			return err
		}
	}
}

// wakeBeforeHook wakes the writers before a hook that may block. Otherwise they are
// woken once for all packets of a read.
func (c *conn) wakeBeforeHook() {
	if c.hub.slowHooks {
		c.signals.steps.Add(1)
		c.router.flush()
		c.wake()
	}
}

// begin tells the sender the time, so that it can drop expired messages.
func (c *conn) begin(now time.Time) bool {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return false
	}
	cl.sender.Pump(now)
	cl.collectCompletedLocked(&c.hub.counts)
	return true
}

// awaitSpace delays a client that does not read its answers. Its next packets are
// handled when it has read some.
func (c *conn) awaitSpace() error {
	var drained <-chan struct{}
	for {
		c.client.mu.Lock()
		gone, pending := c.client.conn != c, c.client.link.Pending()
		c.client.mu.Unlock()
		switch {
		case gone:
			return errGone
		case pending <= pendingMaximum || pending <= latePending && c.signals.late.Load() > 0:
			return nil
		case drained == nil:
			drained = c.signals.drained.listen()
			continue
		}
		select {
		case <-drained:
		case <-c.signals.noWriter.wait():
			// The packets that the client sent before it went are still handled.
			if pending <= latePending {
				return nil
			}
			return errGone
		}
	}
}

// pendingMaximum is how many bytes of answers may wait for a client before its next
// packet is delayed.
const pendingMaximum = 256 << 10

// fill implements bulk.
func (c *conn) fill(p []byte) (int, error) {
	n, err := c.net.Read(p)
	c.hub.counts.bytesReceived.Add(uint64(n))
	return n, err
}

// begun implements bulk.
func (c *conn) begun() int { return len(c.reader.Buffered()) }

// quota implements bulk.
func (c *conn) quota(client bool) *quota {
	if client {
		return c.hub.packets
	}
	return c.hub.connects
}

// holderName implements bulk.
func (c *conn) holderName() string {
	if c.peer == nil {
		return census.AddressOf(c.net.RemoteAddr()).String()
	}
	return c.tenant()
}

// bulky implements bulk.
func (c *conn) bulky() {
	c.hub.doors.bulk(c, &c.standing, census.AddressOf(c.net.RemoteAddr()))
}
