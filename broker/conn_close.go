package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/census"
	"github.com/seed65a45251/mqtt/wire"
)

// leave ends c and starts what follows for its session. It reports whether c
// still had one.
func (c *conn) leave(e ending) bool {
	now, b, cl := time.Now(), c.b, c.session()
	if cl == nil {
		c.net.Close() // in the middle of the handshake
		return false
	}
	left, due := b.leave(cl, c, e, now)
	c.finishSoon()
	if due != nil {
		due.publish(b, now)
	}
	return left
}

// session returns the session that c has or had; nil: there is none yet.
func (c *conn) session() *client {
	c.b.mu.RLock()
	defer c.b.mu.RUnlock()
	return c.client
}

// detach implements connection. What is detached does not count among the clients.
func (c *conn) detach(last []byte, told bool) {
	c.last.bytes, c.last.told = last, told
	c.b.doors.leave(&c.standing)
}

// fail implements connection.
func (c *conn) fail(no *refusal) {
	c.signals.failure.Store(no)
	_ = c.net.SetReadDeadline(time.Now())
}

// failing implements connection.
func (c *conn) failing() bool { return c.signals.failure.Load() != nil }

// evict ends the connection of a client for the sake of another tenant.
func (c *conn) evict() {
	c.leave(ending{reason: wire.QuotaExceeded, text: "too many connections", tell: true, will: true})
}

// tenant returns whose client the connection is, as far as that is known: that of its
// user, or of its address if it has none.
func (c *conn) tenant() string {
	if name := c.peer.Username; name != "" && !c.b.cfg.open() {
		return "user " + name
	}
	return "address " + census.AddressOf(c.net.RemoteAddr()).String()
}
