package wire

// Pingresp answers a PINGREQ.
type Pingresp struct{}

// Type returns TypePingresp.
func (p *Pingresp) Type() PacketType { return TypePingresp }

// Size returns the size of the encoded packet.
func (p *Pingresp) Size(Version) int { return 2 }

// Append appends the packet to b.
func (p *Pingresp) Append(b []byte, _ Version) ([]byte, error) {
	return append(b, byte(TypePingresp)<<4, 0), nil
}

func (p *Pingresp) decode(*Decoder, Header, *cursor) {}
