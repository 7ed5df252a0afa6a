package wire

// Pubcomp answers a PUBREL and ends the exchange of QoS 2.
type Pubcomp struct {
	PacketID       uint16
	ReasonCode     ReasonCode
	ReasonString   string
	UserProperties []UserProperty
}

// Type returns TypePubcomp.
func (p *Pubcomp) Type() PacketType { return TypePubcomp }

// Size returns the size of the encoded packet.
func (p *Pubcomp) Size(v Version) int { return (*ack)(p).packetSize(TypePubcomp, v) }

// Append appends the packet to b. Before 5.0 only the packet identifier is written.
func (p *Pubcomp) Append(b []byte, v Version) ([]byte, error) {
	return (*ack)(p).append(b, v, TypePubcomp)
}

// Pubcomp decodes a PUBCOMP into p, which it overwrites entirely. Without properties it does not allocate.
func (d *Decoder) Pubcomp(p *Pubcomp, h Header, body []byte) error {
	return (*ack)(p).decode(d, TypePubcomp, body)
}
