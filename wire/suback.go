package wire

// Suback answers a SUBSCRIBE with one code per filter, in the order of the filters.
type Suback struct {
	PacketID       uint16
	ReasonCodes    []ReasonCode // before 5.0 every failure is UnspecifiedError, unless a server breaks the rules
	ReasonString   string
	UserProperties []UserProperty
}

// Type returns TypeSuback.
func (p *Suback) Type() PacketType { return TypeSuback }

// Size returns the size of the encoded packet.
func (p *Suback) Size(v Version) int { return sizeOf(p, v) }

// Append appends the packet to b. Before 5.0 failures are written as 0x80, and the properties are left out.
func (p *Suback) Append(b []byte, v Version) ([]byte, error) { return appendPacket(b, v, 0, p) }

func (p *Suback) encode(e *encoder) {
	e.packetID(p.PacketID)
	if e.version == V5 {
		mark := e.open()
		e.stringProperty(propReasonString, p.ReasonString)
		e.userProperties(p.UserProperties)
		e.close(mark)
	}
	if len(p.ReasonCodes) == 0 {
		e.fail("ReasonCodes", "is empty")
	}
	for _, code := range p.ReasonCodes {
		if e.version != V5 && code.Failed() {
			code = UnspecifiedError
		}
		e.reason(code) // [MQTT-3.9.3-2]
	}
}

func (p *Suback) decode(d *Decoder, _ Header, c *cursor) {
	p.PacketID = c.packetID()
	if d.Version == V5 {
		p.ReasonString, p.UserProperties = c.problemProperties(TypeSuback)
	}
	p.ReasonCodes = c.reasons(d)
	for i, code := range p.ReasonCodes {
		// Before 5.0 there is one code for all failures. 3.1 did not have it, but is sent it.
		if d.Version != V5 && code > GrantedQoS2 && code != UnspecifiedError && c.err == nil {
			c.overlook(ProtocolError, "return code not known before version 5.0")
		}
		if code > GrantedQoS2 && !code.Failed() {
			p.ReasonCodes[i] = UnspecifiedError // it is no known grant
		}
	}
}

// reasons takes one or more reason codes up to the end.
func (c *cursor) reasons(d *Decoder) []ReasonCode {
	if c.err != nil {
		return nil
	}
	if len(c.b) == 0 {
		c.protocolError("no reason code")
		return nil
	}
	codes := make([]ReasonCode, 0, len(c.b))
	for len(c.b) > 0 {
		codes = append(codes, c.reason(d.From))
	}
	return codes
}
