package wire

// ack is the shape that PUBACK, PUBREC, PUBREL and PUBCOMP have in common.
type ack struct {
	PacketID       uint16
	ReasonCode     ReasonCode
	ReasonString   string
	UserProperties []UserProperty
}

// plain reports whether the packet ends with the reason code.
func (p *ack) plain(v Version) bool {
	return v != V5 || p.ReasonString == "" && len(p.UserProperties) == 0
}

func (p *ack) packetSize(t PacketType, v Version) int {
	switch {
	case !p.plain(v):
		e := encoder{packet: t, version: v}
		p.encode(&e)
		return packetSize(e.size)
	case v != V5 || p.ReasonCode == Success:
		return 4
	}
	return 5
}

func (p *ack) append(b []byte, v Version, t PacketType) ([]byte, error) {
	if p.PacketID == 0 {
		return b, &FieldError{Packet: t, Field: "PacketID", Problem: "is 0"} // [MQTT-2.2.1-5]
	}
	first := byte(t)<<4 | reservedFlags[t]
	switch {
	case !p.plain(v):
		e := encoder{packet: t, version: v}
		p.encode(&e)
		if err := e.begin(b, reservedFlags[t]); err != nil {
			return b, err
		}
		p.encode(&e)
		return e.b, nil
	case v != V5 || p.ReasonCode == Success:
		return append(b, first, 2, byte(p.PacketID>>8), byte(p.PacketID)), nil
	case !p.ReasonCode.permitted(t, FromServer): // every code that a client may send a server may send, too
		return b, &FieldError{Packet: t, Field: "ReasonCode", Problem: "is not for this packet: " + p.ReasonCode.Error()}
	}
	return append(b, first, 3, byte(p.PacketID>>8), byte(p.PacketID), byte(p.ReasonCode)), nil
}

// encode is for acknowledgements with properties.
func (p *ack) encode(e *encoder) {
	e.packetID(p.PacketID)
	e.reason(p.ReasonCode)
	mark := e.open()
	e.stringProperty(propReasonString, p.ReasonString)
	e.userProperties(p.UserProperties)
	e.close(mark)
}

func (p *ack) decode(d *Decoder, t PacketType, body []byte) error {
	*p = ack{}
	if len(body) == 2 {
		p.PacketID = uint16(body[0])<<8 | uint16(body[1])
		if p.PacketID == 0 {
			return protocolError(t, "packet identifier 0")
		}
		return nil
	}
	return p.decodeLong(d, t, body)
}

func (p *ack) decodeLong(d *Decoder, t PacketType, body []byte) error {
	c := d.cursor(body, t)
	p.PacketID = c.packetID()
	if d.Version != V5 { // before 5.0 nothing follows the identifier
		if code, ok := c.foreignReason(); ok && code.Failed() {
			p.ReasonCode = code
		}
		return c.end()
	}
	p.ReasonCode = c.reason(d.From) // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
	if len(c.b) == 0 {
		return c.end()
	}
	p.ReasonString, p.UserProperties = c.problemProperties(t)
	return c.end()
}

// problemProperties takes a property block that can hold only a reason string and user properties.
func (c *cursor) problemProperties(where PacketType) (reason string, user []UserProperty) {
	c.properties(where)
	for c.next() {
		switch c.property.id {
		case propReasonString:
			reason = c.property.string()
		case propUserProperty:
			user = c.userProperty(user)
		}
	}
	return reason, user
}
