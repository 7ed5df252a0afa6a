package broker

import (
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// answerPublish acknowledges a message that was waiting for the store.
func (c *conn) answerPublish(t session.Token, code wire.ReasonCode) {
	if code.Failed() {
		c.answerFailure(t, code)
		return
	}
	if c.version < wire.V5 {
		// [MQTT-3.3.5-2] of 3.1.1: the version has no other acknowledgement than
		// success.
		code = wire.Success
	}
	if err := c.acknowledge(t, code, ""); err == nil {
		c.hub.wakeAfterCommit(c)
	}
}

// answerFailure tells a client that its message is not stored. If the version has no
// code for that, or the connection has ended, the message is forgotten and the
// connection ends without an answer. The client then sends it again, and it counts as
// a new message.
func (c *conn) answerFailure(t session.Token, code wire.ReasonCode) {
	cl := c.client
	cl.mu.Lock()
	now := cl.conn
	told := now == c && c.version == wire.V5
	if told {
		text := storeFailed
		if c.terse {
			text = "" // [MQTT-3.1.2-29]
		}
		_ = cl.receiver.AckWithReason(t, code, text) // if it is stale, the client does not wait for it
		c.hub.wakeAfterCommit(c)
	} else {
		cl.receiver.Drop(t)
	}
	cl.recordLocked() // removes the record of the identifier
	cl.mu.Unlock()
	if told {
		return
	}
	no := &refusal{code: code, text: storeFailed}
	c.fail(no)
	if now != nil && now != c {
		now.fail(no) // the message may have come again already
	}
}

// awaitStore waits while the store is too far behind with the messages of this
// client. It reports whether the connection continues.
func (c *conn) awaitStore() bool {
	p := c.hub.persistence
	if !p.MustWait(&c.client.waiting) {
		return true
	}
	c.router.flush()
	c.wake()
	return p.Admit(c.hub.ctx, &c.client.waiting, c.signals.noWriter.wait())
}
