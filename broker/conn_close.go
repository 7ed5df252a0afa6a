package broker

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/census"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// leave ends c and then ends or keeps its session. It reports whether c still had
// one.
func (c *conn) leave(e ending) bool {
	now, h, cl := time.Now(), c.hub, c.session()
	if cl == nil {
		c.net.Close() // a handshake is under way
		return false
	}
	left, due := h.leave(cl, c, e, now)
	c.finishSoon()
	if due != nil {
		due.publish(h, now)
	}
	return left
}

// session returns the session that c has or had; nil: there is none yet.
func (c *conn) session() *client {
	c.hub.mu.RLock()
	defer c.hub.mu.RUnlock()
	return c.client
}

// detachLocked implements connection. A detached connection no longer counts as a
// client.
func (c *conn) detachLocked(last []byte, told bool) {
	c.last.bytes, c.last.told = last, told
	c.hub.doors.leave(&c.standing)
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

// tenant returns the name that the connection counts under: its user, or its address
// if it has no user name.
func (c *conn) tenant() string {
	if name := c.peer.Username; name != "" && !c.hub.cfg.open() {
		return "user " + name
	}
	return "address " + census.AddressOf(c.net.RemoteAddr()).String()
}

// endingFor returns the ending that follows from the error of read.
func (c *conn) endingFor(err error) ending {
	if bye, ok := errors.AsType[*clientDisconnect](err); ok {
		return ending{will: bye.will}
	}
	if fault, ok := errors.AsType[*wire.Error](err); ok {
		return ending{reason: fault.Reason, text: fault.Detail, tell: true, will: true}
	}
	if no, ok := errors.AsType[*refusal](err); ok {
		return ending{reason: no.code, text: no.text, server: no.server, tell: true, will: true}
	}
	if limit, ok := errors.AsType[*session.LimitError](err); ok {
		return ending{reason: limit.ReasonCode, tell: true, will: true}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if e := &c.enhanced; e.again != nil && !time.Now().Before(e.deadline) {
			return ending{reason: wire.NotAuthorized, text: "authentication took too long", tell: true, will: true}
		}
		// [MQTT-3.1.2-22] silence for one and a half keep-alive intervals.
		return ending{reason: wire.KeepAliveTimeout, tell: true, will: true}
	}
	return ending{will: true}
}

// busy reports whether messages or bytes wait for the client.
func (c *conn) busy() bool {
	cl := c.session()
	if cl == nil {
		return false
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.conn == c && (cl.link.Pending() > 0 || cl.held.messages > 0)
}

// isAttachedLocked reports whether the connection still has its session. Called with
// hub.mu held, so that the answer stays true until it is released.
func (c *conn) isAttachedLocked() bool {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.conn == c
}

// hasSession reports whether c has its session.
func (c *conn) hasSession() bool {
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	return c.client.conn == c
}

// cut ends the connection at once, below TLS. Closing TLS would send an alert and
// wait for it. An orderly goodbye has been sent before.
func (c *conn) cut() {
	c.line.Close()
	c.net.Close()
}

// finishSoon makes the writer of a connection that lost its session end.
func (c *conn) finishSoon() {
	_ = c.line.Finish(time.Now().Add(farewellTimeout))
	c.wake()
}

// discard reads until either side closes.
func (c *conn) discard() { _, _ = io.Copy(io.Discard, c.net) }
