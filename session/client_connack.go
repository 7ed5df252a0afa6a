package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// handleFirst takes the first packet of a connection, which is CONNACK
// [MQTT-3.2.0-1].
func (c *Client) handleFirst(h wire.Header, body []byte, now time.Time) error {
	if h.Type == wire.TypeConnack && c.link.Version == wire.V5 && len(body) == 2 && body[1] != 0 {
		// A server that knows only 3.1.1 answers in its own shape.
		old := wire.Decoder{Version: wire.V311}
		if p, err := old.Decode(h, body); err == nil {
			return c.refused(p.(*wire.Connack))
		}
	}
	packet, err := c.decoder.Decode(h, body)
	if err != nil {
		return err
	}
	switch p := packet.(type) {
	case *wire.Connack:
		if p.ReasonCode.Failed() {
			return c.refused(p)
		}
		return c.accepted(p, now)
	case *wire.Disconnect:
		// [MQTT-3.14.0-1] not allowed yet, but it says more than a protocol error would.
		return &ServerError{Packet: h.Type, ReasonCode: p.ReasonCode, ReasonString: p.ReasonString,
			ServerReference: p.ServerReference, UserProperties: p.UserProperties}
	case *wire.Auth:
		return c.handleAuth(p)
	}
	return protocolError(h.Type, wire.ProtocolError, "%v before CONNACK", h.Type)
}

func (c *Client) refused(p *wire.Connack) error {
	c.connack = p
	return &ServerError{Packet: wire.TypeConnack, ReasonCode: p.ReasonCode, ReasonString: p.ReasonString,
		ServerReference: p.ServerReference, UserProperties: p.UserProperties}
}

func (c *Client) accepted(p *wire.Connack, now time.Time) error {
	v := c.link.Version
	// 3.1 knows no Session Present: without clean session the server may have one.
	present := p.SessionPresent
	if v == wire.V31 {
		present = !c.connect.CleanStart && c.hasSession
	}
	switch {
	case present && c.connect.CleanStart:
		// [MQTT-3.2.2-2]
		return protocolError(wire.TypeConnack, wire.ProtocolError, "session present after a clean start")
	case present && !c.hasSession:
		// [MQTT-3.2.2-4]
		return protocolError(wire.TypeConnack, wire.ProtocolError, "session present, but this client has none")
	case p.AuthenticationMethod != c.connect.AuthenticationMethod:
		// [MQTT-4.12.0-5], [MQTT-4.12.0-6]
		return protocolError(wire.TypeConnack, wire.ProtocolError, "authentication method differs from that of CONNECT")
	}
	p.SessionPresent = present
	if p.AuthenticationMethod != "" {
		c.confirm(p)
		return nil
	}
	c.open(p, now)
	return nil
}

// open begins the connection that p has accepted.
func (c *Client) open(p *wire.Connack, now time.Time) {
	v, present := c.link.Version, p.SessionPresent
	c.connack = p
	c.phase = connected
	c.link.Limits = limitsOf(p, v)
	c.hasSession = c.keepsSession(p)
	c.keepAlive = newKeepAlive(c.KeepAlive(), c.settings.PingTimeout, now)
	receiveMax := 0
	if v == wire.V5 {
		receiveMax = int(c.connect.ReceiveMaximum)
		if receiveMax > 0 {
			receiveMax = max(receiveMax, c.indulgence)
		}
	}
	c.Receiver.Start(present, receiveMax, c.connect.TopicAliasMaximum)
	c.Sender.quota.max = c.inflight(v)
	c.Sender.open(now)
	if c.settings.Established != nil {
		c.settings.Established(p)
	}
	c.link.UseAliases(int(min(c.settings.TopicAliases, c.link.Limits.TopicAliasMaximum)))
	// Only now, so that what Established submits stays behind what is repeated.
	c.link.Open(v, c.link.Limits)
	c.Sender.Start(present, now)
}

func (c *Client) inflight(v wire.Version) int {
	switch {
	case c.settings.Inflight > 0:
		return c.settings.Inflight
	case v < wire.V5:
		return 20
	}
	return 1024
}

// keepsSession says whether the session outlives this connection.
func (c *Client) keepsSession(p *wire.Connack) bool {
	if c.link.Version < wire.V5 {
		return !c.connect.CleanStart
	}
	return c.SessionExpiryInterval() > 0
}

// SessionExpiryInterval returns the interval in force, in seconds: the
// server's if CONNACK brought one, else that of CONNECT. It is 0 before Connect.
func (c *Client) SessionExpiryInterval() uint32 {
	if c.connack != nil && c.connack.SessionExpiryInterval != nil {
		return *c.connack.SessionExpiryInterval
	}
	if c.connect == nil {
		return 0
	}
	return c.connect.SessionExpiryInterval
}

// KeepAlive returns the interval in force; 0: off, or before Connect.
// [MQTT-3.2.2-21] the server's value replaces ours.
func (c *Client) KeepAlive() time.Duration {
	if c.connect == nil {
		return 0
	}
	seconds := c.connect.KeepAlive
	if c.connack != nil && c.connack.ServerKeepAlive != nil {
		seconds = *c.connack.ServerKeepAlive
	}
	return time.Duration(seconds) * time.Second
}
