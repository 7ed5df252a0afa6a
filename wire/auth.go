package wire

// Auth carries one step of an enhanced authentication (5.0).
type Auth struct {
	ReasonCode           ReasonCode
	AuthenticationMethod string // always there
	AuthenticationData   []byte // nil: absent
	ReasonString         string
	UserProperties       []UserProperty
}

// Type returns TypeAuth.
func (p *Auth) Type() PacketType { return TypeAuth }

// Size returns the size of the encoded packet.
func (p *Auth) Size(v Version) int { return sizeOf(p, v) }

// Append appends the packet to b. Before 5.0 there is no AUTH.
func (p *Auth) Append(b []byte, v Version) ([]byte, error) { return appendPacket(b, v, 0, p) }

func (p *Auth) encode(e *encoder) {
	e.only5(true, "AUTH")
	if p.AuthenticationMethod == "" { // [MQTT-4.12.0-5]
		e.fail("AuthenticationMethod", "is empty")
	}
	e.reason(p.ReasonCode) // [MQTT-3.15.2-1]
	mark := e.open()
	e.stringProperty(propAuthenticationMethod, p.AuthenticationMethod)
	e.binaryProperty(propAuthenticationData, p.AuthenticationData)
	e.stringProperty(propReasonString, p.ReasonString)
	e.userProperties(p.UserProperties)
	e.close(mark)
}

func (p *Auth) decode(d *Decoder, _ Header, c *cursor) {
	if len(c.b) > 0 {
		p.ReasonCode = c.reason(d.From) // [MQTT-3.15.2-1]
	}
	if len(c.b) > 0 {
		p.decodeProperties(c)
	}
	if p.AuthenticationMethod == "" && c.err == nil { // [MQTT-4.12.0-5]
		c.protocolError("no authentication method")
	}
}

func (p *Auth) decodeProperties(c *cursor) {
	c.properties(TypeAuth)
	for c.next() {
		switch c.property.id {
		case propAuthenticationMethod:
			p.AuthenticationMethod = c.property.string()
		case propAuthenticationData:
			p.AuthenticationData = c.property.data
		case propReasonString:
			p.ReasonString = c.property.string()
		case propUserProperty:
			p.UserProperties = c.userProperty(p.UserProperties)
		}
	}
}
