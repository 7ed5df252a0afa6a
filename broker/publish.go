package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// handlePublish takes a PUBLISH and answers it.
func (c *conn) handlePublish(h wire.Header, body []byte, now time.Time) error {
	p := &c.packets.publish
	if err := c.decoder.Publish(p, h, body); err != nil {
		return err
	}
	if err := c.b.checkPublish(p); err != nil {
		return err
	}
	deliver, token, err := c.receive(p)
	if err != nil || !deliver {
		return err
	}
	c.b.counts.received.Add(1)
	code := c.authorizePublish(p)
	if code == wire.Success {
		m := &c.packets.message
		m.set(p, c.client.id, now)
		code = c.b.publish(&c.router, m, now)
	}
	if token.IsZero() {
		return nil
	}
	if c.version < wire.V5 {
		// [MQTT-3.3.5-2] of 3.1.1: it can only be acknowledged as usual.
		code = wire.Success
	}
	return c.acknowledge(token, code)
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
	return cl.receiver.Publish(p)
}

func (c *conn) acknowledge(t session.Token, code wire.ReasonCode) error {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return errGone
	}
	return cl.receiver.Ack(t, code)
}

// checkPublish checks what CONNACK announces.
func (b *Broker) checkPublish(p *wire.Publish) error {
	fault := func(code wire.ReasonCode, detail string) error {
		return &wire.Error{Packet: wire.TypePublish, Reason: code, Detail: detail}
	}
	switch {
	case p.QoS > *b.cfg.MaximumQoS:
		// [MQTT-3.2.2-11]
		return fault(wire.QoSNotSupported, "QoS above the maximum")
	case p.Retain && b.cfg.NoRetained:
		// [MQTT-3.2.2-14]
		return fault(wire.RetainNotSupported, "retained message")
	case p.Properties != nil && p.Properties.ResponseTopic != "" && match.HasWildcard(p.Properties.ResponseTopic):
		// [MQTT-3.3.2-14]
		return fault(wire.ProtocolError, "response topic has a wildcard")
	}
	return nil
}

func (c *conn) authorizePublish(p *wire.Publish) wire.ReasonCode {
	if c.b.cfg.AuthorizePublish == nil {
		return wire.Success
	}
	code := c.b.cfg.AuthorizePublish(c.peer, p)
	if code == wire.Success {
		return code
	}
	c.b.counts.denied.Add(1)
	switch code {
	case wire.UnspecifiedError, wire.ImplementationSpecificError, wire.TopicNameInvalid, wire.QuotaExceeded, wire.PayloadFormatInvalid:
		return code
	}
	// [MQTT-3.4.2-1] only codes that PUBACK and PUBREC have.
	return wire.NotAuthorized
}
