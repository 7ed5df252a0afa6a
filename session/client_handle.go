package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func (c *Client) handle(h wire.Header, body []byte, now time.Time) error {
	switch c.phase {
	case connecting, connected:
	case confirming:
		return errUnconfirmed
	default:
		return nil // packets after DISCONNECT are ignored
	}
	if h.Type != wire.TypePublish { // takeDecoded checks those
		if err := c.checkSize(h); err != nil {
			return err
		}
	}
	if c.phase == connecting {
		return c.handleFirst(h, body, now)
	}
	c.keepAlive.alive(now)
	c.Sender.now = now
	s := &c.scratch
	switch h.Type {
	case wire.TypePublish:
		return c.handlePublish(h, body)
	case wire.TypePuback:
		if err := c.decoder.Puback(s.puback(), h, body); err != nil {
			return err
		}
		return c.takePuback(s.puback())
	case wire.TypePubrec:
		if err := c.decoder.Pubrec(s.pubrec(), h, body); err != nil {
			return err
		}
		return c.takePubrec(s.pubrec())
	case wire.TypePubrel:
		if err := c.decoder.Pubrel(s.pubrel(), h, body); err != nil {
			return err
		}
		return c.takePubrel(s.pubrel())
	case wire.TypePubcomp:
		if err := c.decoder.Pubcomp(s.pubcomp(), h, body); err != nil {
			return err
		}
		return c.takePubcomp(s.pubcomp())
	}
	return c.handleRare(h, body)
}

func (c *Client) takePuback(p *wire.Puback) error {
	if err := c.checkProblemInformation(wire.TypePuback, p.ReasonString, p.UserProperties); err != nil {
		return err
	}
	return c.Sender.Puback(p)
}

func (c *Client) takePubrec(p *wire.Pubrec) error {
	if err := c.checkProblemInformation(wire.TypePubrec, p.ReasonString, p.UserProperties); err != nil {
		return err
	}
	return c.Sender.Pubrec(p)
}

func (c *Client) takePubrel(p *wire.Pubrel) error {
	if err := c.checkProblemInformation(wire.TypePubrel, p.ReasonString, p.UserProperties); err != nil {
		return err
	}
	return c.Receiver.Pubrel(p)
}

func (c *Client) takePubcomp(p *wire.Pubcomp) error {
	if err := c.checkProblemInformation(wire.TypePubcomp, p.ReasonString, p.UserProperties); err != nil {
		return err
	}
	return c.Sender.Pubcomp(p)
}

// checkSize obeys [MQTT-3.1.2-24]: nothing larger than we announced.
func (c *Client) checkSize(h wire.Header) error {
	if limit := c.announced.maximumPacketSize; limit > 0 && uint32(h.Size) > limit {
		return protocolError(h.Type, wire.PacketTooLarge, "packet of %d bytes, more than our maximum of %d", h.Size, limit)
	}
	return nil
}

func (c *Client) handlePublish(h wire.Header, body []byte) error {
	n := len(c.received)
	c.received = append(c.received, Received{})
	r := &c.received[n]
	deliver, err := c.takeDecoded(r, h, body, c.decoder.Publish(&r.Publish, h, body))
	if !deliver {
		*r = Received{}
		c.received = c.received[:n]
	}
	return err
}

// handleRare handles the less frequent packets.
func (c *Client) handleRare(h wire.Header, body []byte) error {
	if h.Type == wire.TypeConnack {
		return c.secondConnack(h, body)
	}
	packet, err := c.decoder.Decode(h, body)
	if err != nil {
		return err
	}
	return c.takePacket(packet)
}

// takePacket handles any packet of a server except PUBLISH and CONNACK.
func (c *Client) takePacket(packet wire.Packet) error {
	t := packet.Type()
	switch p := packet.(type) {
	case *wire.Puback:
		return c.takePuback(p)
	case *wire.Pubrec:
		return c.takePubrec(p)
	case *wire.Pubrel:
		return c.takePubrel(p)
	case *wire.Pubcomp:
		return c.takePubcomp(p)
	case *wire.Suback:
		if err := c.checkProblemInformation(t, p.ReasonString, p.UserProperties); err != nil {
			return err
		}
		return c.takeRequestAnswer(t, p.PacketID, p.ReasonCodes, p.ReasonString, p.UserProperties)
	case *wire.Unsuback:
		if err := c.checkProblemInformation(t, p.ReasonString, p.UserProperties); err != nil {
			return err
		}
		return c.takeRequestAnswer(t, p.PacketID, p.ReasonCodes, p.ReasonString, p.UserProperties)
	case *wire.Pingresp:
		c.takePingresp(c.Sender.now)
		return nil
	case *wire.Disconnect:
		return &ServerError{Packet: t, ReasonCode: p.ReasonCode, ReasonString: p.ReasonString,
			ServerReference: p.ServerReference, UserProperties: p.UserProperties}
	case *wire.Auth:
		return c.handleAuth(p)
	}
	return protocolError(t, wire.ProtocolError, "%v from a server", t)
}

// checkProblemInformation obeys [MQTT-3.1.2-29].
func (c *Client) checkProblemInformation(t wire.PacketType, text string, props []wire.UserProperty) error {
	if !c.announced.noProblems || text == "" && len(props) == 0 {
		return nil
	}
	return protocolError(t, wire.ProtocolError, "problem information although we asked for none")
}
