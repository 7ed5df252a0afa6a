package wire

// Pubrec is the first answer to a PUBLISH of QoS 2: the message was received, or refused.
type Pubrec struct {
	PacketID       uint16
	ReasonCode     ReasonCode
	ReasonString   string
	UserProperties []UserProperty
}

// Type returns TypePubrec.
func (p *Pubrec) Type() PacketType { return TypePubrec }

// Size returns the size of the encoded packet.
func (p *Pubrec) Size(v Version) int { return (*ack)(p).packetSize(TypePubrec, v) }

// Append appends the packet to b. Before 5.0 only the packet identifier is written.
func (p *Pubrec) Append(b []byte, v Version) ([]byte, error) {
	return (*ack)(p).append(b, v, TypePubrec)
}

// Pubrec decodes a PUBREC into p, which it overwrites entirely. Without properties it does not allocate.
func (d *Decoder) Pubrec(p *Pubrec, h Header, body []byte) error {
	return (*ack)(p).decode(d, TypePubrec, body)
}
