package broker

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// handlePublish takes a PUBLISH and answers it.
func (c *conn) handlePublish(h wire.Header, body []byte, now time.Time) error {
	p := &c.packets.publish
	err := c.decoder.Publish(p, h, body)
	// More properties than we decode break no rule: nobody gets the message, that is all.
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
		// [MQTT-3.3.5-2] of 3.1.1: it can only be acknowledged as usual.
		code = wire.Success
	}
	return c.acknowledge(token, code, text)
}

// publisherOf says who has published p.
func (c *conn) publisherOf(p *wire.Publish, t session.Token) publisher {
	from := publisher{client: c.client, conn: c, version: c.version, token: t}
	if p.QoS == wire.ExactlyOnce && c.client.durable.Load() {
		from.id = p.PacketID
	}
	return from
}

// receive runs the message through the receiver of the session: aliases, quota,
// repeats.
func (c *conn) receive(p *wire.Publish) (deliver bool, t session.Token, err error) {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return false, session.Token{}, errGone
	}
	deliver, t, err = cl.receiver.Publish(p)
	if deliver && !cl.countOpenLocked() {
		cl.receiver.Drop(t) // it comes again
		deliver, err = false, &refusal{code: wire.QuotaExceeded, text: "too many unfinished messages"}
	}
	cl.recordLocked() // of an identifier that the message has taken over, before it has its own
	return deliver, t, err
}

// acknowledge answers a message. When the connection went while a hook looked at
// it, the session keeps the answer for the repeat on the next one, which may be
// there already: without it nothing behind that is acknowledged either.
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
	cl.recordLocked() // of an identifier that a failure has ended
	if !gone {
		return err
	}
	if cl.conn != nil {
		cl.conn.wake()
	}
	return errGone
}
