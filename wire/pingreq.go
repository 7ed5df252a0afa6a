package wire

// Pingreq asks the server for a sign of life.
type Pingreq struct{}

// Type returns TypePingreq.
func (p *Pingreq) Type() PacketType { return TypePingreq }

// Size returns the size of the encoded packet.
func (p *Pingreq) Size(Version) int { return 2 }

// Append appends the packet to b.
func (p *Pingreq) Append(b []byte, _ Version) ([]byte, error) {
	return append(b, byte(TypePingreq)<<4, 0), nil
}

func (p *Pingreq) decode(*Decoder, Header, *cursor) {}
