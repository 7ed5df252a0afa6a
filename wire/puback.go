package wire

// Puback acknowledges a PUBLISH of QoS 1 and ends the exchange.
type Puback struct {
	PacketID       uint16
	ReasonCode     ReasonCode
	ReasonString   string
	UserProperties []UserProperty
}

// Type returns TypePuback.
func (p *Puback) Type() PacketType { return TypePuback }

// Size returns the size of the encoded packet.
func (p *Puback) Size(v Version) int { return (*ack)(p).packetSize(TypePuback, v) }

// Append appends the packet to b. Before 5.0 only the packet identifier is written.
func (p *Puback) Append(b []byte, v Version) ([]byte, error) {
	return (*ack)(p).append(b, v, TypePuback)
}

// Puback decodes a PUBACK into p, which it overwrites entirely. Without properties it does not allocate.
func (d *Decoder) Puback(p *Puback, h Header, body []byte) error {
	return (*ack)(p).decode(d, TypePuback, body)
}
