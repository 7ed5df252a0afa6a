package broker

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// handlePublish handles a PUBLISH and answers it.
func (c *conn) handlePublish(h wire.Header, body []byte, now time.Time) error {
	p := &c.packets.publish
	err := c.decoder.Publish(p, h, body)
	// More properties than we decode break no rule. The message is refused, and the
	// connection goes on.
	excessive := errors.Is(err, wire.QuotaExceeded)
	if err != nil && !excessive {
		return err
	}
	if err := session.RefusePublish(p, c.hub.cfg.announced()); err != nil {
		return err
	}
	if p.QoS > wire.AtMostOnce && !c.awaitStore() {
		return errGone
	}
	deliver, token, err := c.receive(p)
	if err != nil || !deliver {
		return err
	}
	c.hub.counts.received.Add(1)
	code, text := wire.Success, ""
	if excessive {
		code, text = wire.QuotaExceeded, "too many properties"
	} else if no := c.hub.hooks.authorizePublish(c.peer, p); no != nil {
		if no.broken {
			return no
		}
		code, text = no.code, no.text
	} else {
		m := &c.packets.message
		m.set(p, c.client.id, now)
		var pending *publication
		if code, pending = c.hub.publish(&c.router, m, now, c.publisherOf(p, token)); pending != nil {
			return nil // the answer follows when the store has it
		}
	}
	if c.hub.hooks.observed() {
		c.wakeBeforeHook()
		c.hub.hooks.observe(Published{c.peer, p, code})
	}
	if token.IsZero() {
		return nil
	}
	if c.version < wire.V5 {
		// [MQTT-3.3.5-2] of 3.1.1: the version has no other acknowledgement than
		// success.
		code = wire.Success
	}
	return c.acknowledge(token, code, text)
}

// publisherOf returns the publisher of p.
func (c *conn) publisherOf(p *wire.Publish, t session.Token) publisher {
	from := publisher{client: c.client, conn: c, version: c.version, token: t}
	if p.QoS == wire.ExactlyOnce && c.client.durable.Load() {
		from.id = p.PacketID
	}
	return from
}

// receive passes the message to the receiver of the session, which handles aliases,
// quota and repeats. It reports whether the message is to be delivered.
func (c *conn) receive(p *wire.Publish) (deliver bool, t session.Token, err error) {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return false, session.Token{}, errGone
	}
	deliver, t, err = cl.receiver.Publish(p)
	if deliver && !cl.countOpenLocked() {
		cl.receiver.Drop(t) // the client sends it again
		deliver, err = false, &refusal{code: wire.QuotaExceeded, text: "too many unfinished messages"}
	}
	cl.recordLocked() // removes the record of an earlier message with the identifier
	return deliver, t, err
}

// acknowledge answers a message. If the connection ended while a hook looked at the
// message, the session keeps the answer for the repeat on the next connection. That
// repeat may have arrived already, and no later message is answered before it.
func (c *conn) acknowledge(t session.Token, code wire.ReasonCode, text string) error {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	gone := cl.conn != c
	if c.terse || gone {
		// [MQTT-3.1.2-29]
		text = ""
	}
	err := cl.receiver.AckWithReason(t, code, text)
	cl.recordLocked() // removes the record of an identifier that a failure has ended
	if !gone {
		return err
	}
	if cl.conn != nil {
		cl.conn.wake()
	}
	return errGone
}
