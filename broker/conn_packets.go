package broker

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// clientDisconnect is the client's DISCONNECT.
type clientDisconnect struct {
	reason wire.ReasonCode
	will   bool // the client wants its will published
}

// Error returns the client's reason.
func (g *clientDisconnect) Error() string { return "client disconnected: " + g.reason.Error() }

// handle takes one packet. An error ends the connection.
func (c *conn) handle(h wire.Header, body []byte, now time.Time) error {
	switch h.Type {
	case wire.TypePublish:
		return c.handlePublish(h, body, now)
	case wire.TypePuback:
		p := &c.packets.puback
		if err := c.decoder.Puback(p, h, body); err != nil {
			return err
		}
		return c.acknowledgeOutgoing(func(s *session.Sender) error { return s.Puback(p) })
	case wire.TypePubrec:
		p := &c.packets.pubrec
		if err := c.decoder.Pubrec(p, h, body); err != nil {
			return err
		}
		return c.acknowledgeOutgoing(func(s *session.Sender) error { return s.Pubrec(p) })
	case wire.TypePubcomp:
		p := &c.packets.pubcomp
		if err := c.decoder.Pubcomp(p, h, body); err != nil {
			return err
		}
		return c.acknowledgeOutgoing(func(s *session.Sender) error { return s.Pubcomp(p) })
	case wire.TypePubrel:
		p := &c.packets.pubrel
		if err := c.decoder.Pubrel(p, h, body); err != nil {
			return err
		}
		return c.releaseIncoming(p)
	case wire.TypeConnect:
		// [MQTT-3.1.0-2] only once.
		return &wire.Error{Packet: wire.TypeConnect, Reason: wire.ProtocolError, Detail: "second one"}
	}
	packet, err := c.decoder.Decode(h, body)
	if err != nil {
		return err
	}
	switch p := packet.(type) {
	case *wire.Subscribe:
		return c.handleSubscribe(p, now)
	case *wire.Unsubscribe:
		return c.handleUnsubscribe(p)
	case *wire.Pingreq:
		// [MQTT-3.12.4-1]
		return c.answer(&wire.Pingresp{})
	case *wire.Auth:
		return c.handleAuth(p, now)
	case *wire.Disconnect:
		return c.handleDisconnect(p)
	}
	return &wire.Error{Packet: h.Type, Reason: wire.ProtocolError, Detail: "not expected"}
}

// acknowledgeOutgoing hands an acknowledgement to the sender of the session.
func (c *conn) acknowledgeOutgoing(ack func(*session.Sender) error) error {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return errGone
	}
	err := ack(cl.sender)
	cl.collectCompletedLocked(&c.hub.counts)
	return err
}

func (c *conn) releaseIncoming(p *wire.Pubrel) error {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return errGone
	}
	err := cl.receiver.Pubrel(p)
	cl.recordLocked()
	return err
}

// explain sends p with a reason string, whose place is field, if the client wants
// it and it fits. [MQTT-3.1.2-29], [MQTT-3.9.2-1], [MQTT-3.11.2-1]
func (c *conn) explain(p wire.Packet, field *string, text string) error {
	if text != "" && !c.terse {
		*field = text
		if err := c.answer(p); err == nil || errors.Is(err, errGone) {
			return err
		}
		*field = ""
	}
	return c.answer(p)
}

// answer sends p as it is.
func (c *conn) answer(p wire.Packet) error {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return errGone
	}
	return cl.link.Append(p)
}

// handleDisconnect handles the client's DISCONNECT.
func (c *conn) handleDisconnect(p *wire.Disconnect) error {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return errGone
	}
	// The session expiry that was granted is 0 only if CONNECT asked for 0.
	if err := session.RefuseDisconnect(p, cl.expiry); err != nil {
		return err
	}
	if interval := p.SessionExpiryInterval; interval != nil {
		cl.expiry = c.hub.cfg.sessionExpiry(*interval)
	}
	// [MQTT-3.14.4-3] only a normal DISCONNECT deletes the will.
	return &clientDisconnect{reason: p.ReasonCode, will: p.ReasonCode != wire.Success}
}
