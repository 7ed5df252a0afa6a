package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// handleFirst takes the first packet of a connection, which is CONNACK
// [MQTT-3.2.0-1].
func (c *Client) handleFirst(h wire.Header, body []byte, now time.Time) error {
	if h.Type == wire.TypeConnack {
		p, err := c.decodeConnack(h, body)
		if err != nil {
			return err
		}
		c.continuity.answered = true
		if p.ReasonCode.Failed() {
			c.connack = p
			return connackError(p)
		}
		return c.takeConnack(p, now)
	}
	packet, err := c.decoder.Decode(h, body)
	if err != nil {
		return err
	}
	switch p := packet.(type) {
	case *wire.Disconnect:
		// [MQTT-3.14.0-1] DISCONNECT is not allowed yet, but it says more than a
		// protocol error would.
		return &ServerError{Packet: h.Type, ReasonCode: p.ReasonCode, ReasonString: p.ReasonString,
			ServerReference: p.ServerReference, UserProperties: p.UserProperties}
	case *wire.Auth:
		return c.handleAuth(p)
	}
	return protocolError(h.Type, wire.ProtocolError, "%v before CONNACK", h.Type)
}

// decodeConnack decodes a CONNACK. It also accepts a refusal in the form of 3.1.1,
// because a server that knows no other answers 5.0 in that form.
func (c *Client) decodeConnack(h wire.Header, body []byte) (*wire.Connack, error) {
	if c.link.Version == wire.V5 && len(body) == 2 && body[1] != 0 {
		old := wire.Decoder{Version: wire.V311}
		if p, err := old.Decode(h, body); err == nil {
			return p.(*wire.Connack), nil
		}
	}
	packet, err := c.decoder.Decode(h, body)
	if err != nil {
		return nil, err
	}
	return packet.(*wire.Connack), nil
}

func connackError(p *wire.Connack) error {
	return &ServerError{Packet: wire.TypeConnack, ReasonCode: p.ReasonCode, ReasonString: p.ReasonString,
		ServerReference: p.ServerReference, UserProperties: p.UserProperties}
}

// leastPacketSize is what PUBACK, PUBREC, PUBREL and PUBCOMP take, and more than PINGREQ
// and DISCONNECT take.
const leastPacketSize = 4

func (c *Client) takeConnack(p *wire.Connack, now time.Time) error {
	c.link.Limits = limitsOf(p, c.link.Version) // for who ends the connection because of p
	present := c.presumedSession(p)
	switch {
	case present && c.announced.cleanStart:
		// [MQTT-3.2.2-2]
		err := protocolError(wire.TypeConnack, wire.ProtocolError, "session present after a clean start")
		if !overlook(c.settings.Tolerate, err) {
			return err
		}
		// Most servers that say so have no session. If this one has, its session has seen
		// nothing of ours.
		c.continuity.current.generation = 0
	case present && !c.continuity.mayHaveSession() && (c.link.Version == wire.V5 || c.settings.Journal == nil):
		// [MQTT-3.2.2-4]
		return protocolError(wire.TypeConnack, wire.ProtocolError, "session present, but this client has none")
	}
	if most := p.MaximumPacketSize; most > 0 && most < leastPacketSize {
		// [MQTT-3.2.2-15] could not be obeyed.
		return protocolError(wire.TypeConnack, wire.ProtocolError, "maximum packet size is less than an acknowledgement takes")
	}
	if p.AuthenticationMethod != c.announced.method {
		// [MQTT-4.12.0-5], [MQTT-4.12.0-6]
		return protocolError(wire.TypeConnack, wire.ProtocolError, "authentication method differs from that of CONNECT")
	}
	p.SessionPresent = present
	if p.AuthenticationMethod != "" {
		c.confirm(p)
		return nil
	}
	c.openConnection(p, now)
	return nil
}

// openConnection begins the connection that p has accepted.
func (c *Client) openConnection(p *wire.Connack, now time.Time) {
	v, present := c.link.Version, p.SessionPresent
	c.connack = p
	c.phase = connected
	c.link.Limits = limitsOf(p, v)
	c.settings.restrict(&c.link.Limits)
	keeps := c.keepsSession(p)
	c.continuity.hold(c.continuity.current.ClientID, keeps)
	c.continuity.assigned(p.AssignedClientID)
	id := c.continuity.current.SessionID
	c.continuity.hold(id.ClientID, keeps)
	if id != c.Receiver.at.id {
		c.Sender.doubt.tells = tellsUnknown // the answer of another server says nothing
	}
	kind := c.continuity.classify(present)
	c.noteContinuity()
	c.keepAlive = newKeepAlive(c.KeepAlive(), c.settings.PingTimeout, now)
	receiveMax := 0
	if v == wire.V5 {
		receiveMax = int(c.announced.receiveMaximum)
		if receiveMax > 0 {
			receiveMax = max(receiveMax, c.excess)
		}
	}
	c.Receiver.moveTo(id)
	c.Receiver.Start(present, receiveMax, c.announced.topicAliasMaximum)
	if kind < Proven {
		c.Receiver.doubt()
	}
	c.Sender.quota.max = c.inflightLimit(v)
	c.Sender.beginSuspicion(now, c.KeepAlive())
	c.Subscriptions.start(kind, id) // before any message is sent
	c.link.UseAliases(int(min(c.settings.TopicAliases, c.link.Limits.TopicAliasMaximum)))
	if c.continuity.current.inherited {
		c.Sender.inherit()
	}
	// Only now, so that SUBSCRIBEs go first.
	c.link.Open(v, c.link.Limits)
	c.Sender.start(kind, now)
}

// keepsSession reports whether the session outlives this connection.
func (c *Client) keepsSession(p *wire.Connack) bool {
	if c.link.Version < wire.V5 {
		return !c.announced.cleanStart
	}
	return c.SessionExpiryInterval() > 0
}

// SessionExpiryInterval returns the interval in force, in seconds: the server's if
// CONNACK had one, otherwise the one of CONNECT. Before Connect it is 0.
func (c *Client) SessionExpiryInterval() uint32 {
	if c.connack != nil && c.connack.SessionExpiryInterval != nil {
		return *c.connack.SessionExpiryInterval
	}
	return c.announced.sessionExpiry
}

// KeepAlive returns the interval in force. It is 0 if keep-alive is off, and before
// Connect. [MQTT-3.2.2-21] the server's value replaces ours.
func (c *Client) KeepAlive() time.Duration {
	seconds := c.announced.keepAlive
	if c.connack != nil && c.connack.ServerKeepAlive != nil {
		seconds = *c.connack.ServerKeepAlive
	}
	return time.Duration(seconds) * time.Second
}

// secondConnack handles a CONNACK on an established connection. [MQTT-3.2.0-2] There
// is only one. But servers before 5.0 have no DISCONNECT, and some use a second
// CONNACK to say why they end the connection.
func (c *Client) secondConnack(h wire.Header, body []byte) error {
	if c.settings.Tolerate != nil {
		if p, err := c.decodeConnack(h, body); err == nil && p.ReasonCode.Failed() {
			return connackError(p)
		}
	}
	return protocolError(h.Type, wire.ProtocolError, "second CONNACK")
}

// presumedSession returns the Session Present of a CONNACK. 3.1 does not have it: if
// CONNECT did not ask for a clean session, the server may have one.
func (c *Client) presumedSession(p *wire.Connack) bool {
	if c.link.Version == wire.V31 {
		return !c.announced.cleanStart && c.continuity.holds(c.continuity.current.ClientID)
	}
	return p.SessionPresent
}

// Continuity returns what is known of the session of this connection, once the
// server has accepted it.
func (c *Client) Continuity() Continuity { return c.continuity.here }

// HasSession is HasSessionOf for the client identifier of the last CONNECT. Before the
// first it is what ClientSettings.HasSession says.
func (c *Client) HasSession() bool { return c.continuity.last() }

// HasSessionOf reports whether a server may hold a session of this client under an
// identifier. In that case CONNECT with it must not start clean, or the messages that wait
// in the session are lost.
func (c *Client) HasSessionOf(clientID string) bool { return c.continuity.holds(clientID) }

// KeepsSession reports whether the session of the present or last connection outlives it.
func (c *Client) KeepsSession() bool { return c.continuity.holds(c.Receiver.at.id.ClientID) }
