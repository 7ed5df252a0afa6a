package wire

// Pubrel answers a PUBREC: the sender forgets the message and releases it for delivery.
type Pubrel struct {
	PacketID       uint16
	ReasonCode     ReasonCode
	ReasonString   string
	UserProperties []UserProperty
}

// Type returns TypePubrel.
func (p *Pubrel) Type() PacketType { return TypePubrel }

// Size returns the size of the encoded packet.
func (p *Pubrel) Size(v Version) int { return (*ack)(p).packetSize(TypePubrel, v) }

// Append appends the packet to b. Before 5.0 only the packet identifier is written.
func (p *Pubrel) Append(b []byte, v Version) ([]byte, error) {
	return (*ack)(p).append(b, v, TypePubrel)
}

// Pubrel decodes a PUBREL into p, which it overwrites entirely. Without properties it does not allocate.
func (d *Decoder) Pubrel(p *Pubrel, h Header, body []byte) error {
	return (*ack)(p).decode(d, TypePubrel, body)
}
