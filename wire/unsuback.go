package wire

// Unsuback answers an UNSUBSCRIBE with one code per filter, in the order of the filters. Before 5.0
// it has no codes.
type Unsuback struct {
	PacketID       uint16
	ReasonCodes    []ReasonCode
	ReasonString   string
	UserProperties []UserProperty
}

// Type returns TypeUnsuback.
func (p *Unsuback) Type() PacketType { return TypeUnsuback }

// Size returns the size of the encoded packet.
func (p *Unsuback) Size(v Version) int { return sizeOf(p, v) }

// Append appends the packet to b. Before 5.0 only the packet identifier is written.
func (p *Unsuback) Append(b []byte, v Version) ([]byte, error) { return appendPacket(b, v, 0, p) }

func (p *Unsuback) encode(e *encoder) {
	e.packetID(p.PacketID)
	if e.version != V5 {
		return
	}
	mark := e.open()
	e.stringProperty(propReasonString, p.ReasonString)
	e.userProperties(p.UserProperties)
	e.close(mark)
	if len(p.ReasonCodes) == 0 {
		e.fail("ReasonCodes", "is empty")
	}
	for _, code := range p.ReasonCodes {
		e.reason(code) // [MQTT-3.11.3-2]
	}
}

func (p *Unsuback) decode(d *Decoder, _ Header, c *cursor) {
	p.PacketID = c.packetID()
	if d.Version != V5 {
		c.foreignReason()
		return
	}
	if c.err == nil && len(c.b) == 0 && c.overlook(MalformedPacket, "ends before the properties") {
		return // in the form of 3.1.1
	}
	p.ReasonString, p.UserProperties = c.problemProperties(TypeUnsuback)
	if c.err == nil && len(c.b) == 0 && c.overlook(ProtocolError, "no reason code") {
		return // as Mosquitto did at first
	}
	p.ReasonCodes = c.reasons(d)
}
