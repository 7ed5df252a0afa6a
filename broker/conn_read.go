package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/census"
)

// read handles packets until the connection is over and says why.
func (c *conn) read() error {
	// [MQTT-3.1.2-22] half a packet is no silence.
	if err := c.line.SetReadLimit(c.keepAlive); err != nil {
		return err
	}
	// That of the handshake.
	if err := c.net.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	for {
		if c.enhanced.by != nil {
			if err := c.net.SetReadDeadline(c.deadline()); err != nil {
				return err
			}
		}
		// After the deadline, which is how fail wakes us.
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

// wakeBeforeHook wakes the writers before a hook that may take its time, which otherwise
// happens once for all that one read brought.
func (c *conn) wakeBeforeHook() {
	if c.hub.slowHooks {
		c.signals.steps.Add(1)
		c.router.flush()
		c.wake()
	}
}

// begin tells the sender the time, for messages that get too old.
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

// awaitSpace keeps a client that does not read its answers from asking for more.
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
			// What the client has sent before it went is still handled.
			if pending <= latePending {
				return nil
			}
			return errGone
		}
	}
}

// pendingMaximum is how many bytes of answers may wait for a client before the
// next of its packets is handled.
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
