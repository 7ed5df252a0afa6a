package wire

// Disconnect ends a connection. Before 5.0 only a client sends it, and it has no content.
type Disconnect struct {
	ReasonCode            ReasonCode
	SessionExpiryInterval *uint32 // seconds; nil: unchanged; only a client sends it
	ReasonString          string
	ServerReference       string // only a server sends it
	UserProperties        []UserProperty
}

// Type returns TypeDisconnect.
func (p *Disconnect) Type() PacketType { return TypeDisconnect }

// Size returns the size of the encoded packet.
func (p *Disconnect) Size(v Version) int { return sizeOf(p, v) }

// Append appends the packet to b. Before 5.0 it refuses a reason code other than NormalDisconnection, which
// cannot be written: to make the server publish the will, close the connection without DISCONNECT.
func (p *Disconnect) Append(b []byte, v Version) ([]byte, error) { return appendPacket(b, v, 0, p) }

func (p *Disconnect) encode(e *encoder) {
	if e.version != V5 {
		e.only5(p.ReasonCode != NormalDisconnection, "ReasonCode")
		e.only5(p.SessionExpiryInterval != nil, "SessionExpiryInterval")
		return
	}
	bare := p.SessionExpiryInterval == nil && p.ReasonString == "" && p.ServerReference == "" &&
		len(p.UserProperties) == 0
	if bare && p.ReasonCode == NormalDisconnection {
		return
	}
	e.reason(p.ReasonCode) // [MQTT-3.14.2-1]
	if bare {
		return
	}
	if p.SessionExpiryInterval != nil && p.ServerReference != "" {
		e.fail("ServerReference", "is for servers, SessionExpiryInterval for clients") // [MQTT-3.14.2-2]
	}
	mark := e.open()
	e.uint32Property(propSessionExpiryInterval, p.SessionExpiryInterval)
	e.stringProperty(propReasonString, p.ReasonString)
	e.stringProperty(propServerReference, p.ServerReference)
	e.userProperties(p.UserProperties)
	e.close(mark)
}

func (p *Disconnect) decode(d *Decoder, _ Header, c *cursor) {
	if d.Version != V5 || len(c.b) == 0 {
		return
	}
	p.ReasonCode = c.reason(d.From) // [MQTT-3.14.2-1]
	if len(c.b) == 0 {
		return
	}
	c.properties(TypeDisconnect)
	for c.next() {
		switch c.property.id {
		case propSessionExpiryInterval:
			p.SessionExpiryInterval = new(c.property.number)
			if d.From == FromServer { // [MQTT-3.14.2-2]
				c.protocolError("Session Expiry Interval from a server")
			}
		case propReasonString:
			p.ReasonString = c.property.string()
		case propServerReference:
			p.ServerReference = c.property.string()
			if d.From == FromClient {
				c.protocolError("Server Reference from a client")
			}
		case propUserProperty:
			p.UserProperties = c.userProperty(p.UserProperties)
		}
	}
}
