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
		return nil // after DISCONNECT nothing matters any more
	}
	if h.Type != wire.TypePublish { // handlePublish checks those
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
		if err := c.decoder.Puback(&s.puback, h, body); err != nil {
			return err
		}
		if err := c.checkProblemInformation(h.Type, s.puback.ReasonString, s.puback.UserProperties); err != nil {
			return err
		}
		return c.Sender.Puback(&s.puback)
	case wire.TypePubrec:
		if err := c.decoder.Pubrec(&s.pubrec, h, body); err != nil {
			return err
		}
		if err := c.checkProblemInformation(h.Type, s.pubrec.ReasonString, s.pubrec.UserProperties); err != nil {
			return err
		}
		return c.Sender.Pubrec(&s.pubrec)
	case wire.TypePubrel:
		if err := c.decoder.Pubrel(&s.pubrel, h, body); err != nil {
			return err
		}
		if err := c.checkProblemInformation(h.Type, s.pubrel.ReasonString, s.pubrel.UserProperties); err != nil {
			return err
		}
		return c.Receiver.Pubrel(&s.pubrel)
	case wire.TypePubcomp:
		if err := c.decoder.Pubcomp(&s.pubcomp, h, body); err != nil {
			return err
		}
		if err := c.checkProblemInformation(h.Type, s.pubcomp.ReasonString, s.pubcomp.UserProperties); err != nil {
			return err
		}
		return c.Sender.Pubcomp(&s.pubcomp)
	}
	return c.handleRare(h, body)
}

// checkSize obeys [MQTT-3.1.2-24]: nothing larger than we announced.
func (c *Client) checkSize(h wire.Header) error {
	if limit := c.connect.MaximumPacketSize; limit > 0 && uint32(h.Size) > limit {
		return protocolError(h.Type, wire.PacketTooLarge, "packet of %d bytes, more than our maximum of %d", h.Size, limit)
	}
	return nil
}

func (c *Client) handlePublish(h wire.Header, body []byte) error {
	if err := c.checkSize(h); err != nil {
		return c.refuse(h, body, err)
	}
	n := len(c.received)
	c.received = append(c.received, Received{})
	r := &c.received[n]
	err := c.decoder.Publish(&r.Publish, h, body)
	deliver := false
	refused := err != nil
	if err == nil {
		deliver, r.Token, err = c.Receiver.Publish(&r.Publish)
		refused = err != nil && isAliased(&r.Publish)
	}
	c.refusals.brought = c.refusals.brought || deliver
	if !deliver {
		*r = Received{}
		c.received = c.received[:n]
	}
	if refused {
		return c.refuse(h, body, err)
	}
	return err
}

// handleRare takes the packets that do not come often.
func (c *Client) handleRare(h wire.Header, body []byte) error {
	if h.Type == wire.TypeConnack {
		return c.secondConnack(h, body)
	}
	packet, err := c.decoder.Decode(h, body)
	if err != nil {
		return err
	}
	switch p := packet.(type) {
	case *wire.Suback:
		if err := c.checkProblemInformation(h.Type, p.ReasonString, p.UserProperties); err != nil {
			return err
		}
		return c.answer(h.Type, p.PacketID, p.ReasonCodes, p.ReasonString, p.UserProperties)
	case *wire.Unsuback:
		if err := c.checkProblemInformation(h.Type, p.ReasonString, p.UserProperties); err != nil {
			return err
		}
		return c.answer(h.Type, p.PacketID, p.ReasonCodes, p.ReasonString, p.UserProperties)
	case *wire.Pingresp:
		return nil // proof of life like any packet
	case *wire.Disconnect:
		return &ServerError{Packet: h.Type, ReasonCode: p.ReasonCode, ReasonString: p.ReasonString,
			ServerReference: p.ServerReference, UserProperties: p.UserProperties}
	case *wire.Auth:
		return c.handleAuth(p)
	}
	return protocolError(h.Type, wire.ProtocolError, "%v from a server", h.Type)
}

// checkProblemInformation obeys [MQTT-3.1.2-29].
func (c *Client) checkProblemInformation(t wire.PacketType, text string, props []wire.UserProperty) error {
	if wanted := c.connect.RequestProblemInformation; wanted == nil || *wanted || text == "" && len(props) == 0 {
		return nil
	}
	return protocolError(t, wire.ProtocolError, "problem information although we asked for none")
}
