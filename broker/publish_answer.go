package broker

import (
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// answerPublish acknowledges a message for which the store was waited for.
func (c *conn) answerPublish(t session.Token, code wire.ReasonCode) {
	if code.Failed() {
		c.answerFailure(t, code)
		return
	}
	if c.version < wire.V5 {
		// [MQTT-3.3.5-2] of 3.1.1: it can only be acknowledged as usual.
		code = wire.Success
	}
	if err := c.acknowledge(t, code, ""); err == nil {
		c.hub.wakeAfterCommit(c)
	}
}

// answerFailure tells a client that its message is not stored. Where the version has
// no word for it, or nobody is there, the connection ends without an answer: the
// message comes again, and as a new one.
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
		_ = cl.receiver.AckWithReason(t, code, text) // stale: nobody waits for it
		c.hub.wakeAfterCommit(c)
	} else {
		cl.receiver.Drop(t)
	}
	cl.recordLocked() // of an identifier that is not needed
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

// awaitStore waits until the store has taken enough of what the client has published.
// It reports whether the connection goes on.
func (c *conn) awaitStore() bool {
	p := c.hub.persistence
	if !p.MustWait(&c.client.waiting) {
		return true
	}
	c.router.flush()
	c.wake()
	return p.Admit(c.hub.ctx, &c.client.waiting, c.signals.noWriter.wait())
}
