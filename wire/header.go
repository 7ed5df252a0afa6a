package wire

// Header is a fixed header.
type Header struct {
	Type   PacketType
	Flags  byte
	Length int // the remaining length: what follows the header
	Size   int // of the whole packet: header and remaining length
}

// ParseHeader parses the fixed header at the start of b in version v, which may be zero before
// CONNECT was seen. n is the length of the header, 2 to 5. If b is too short to tell, n is 0 and
// there is no error. An error is reported from the first byte that shows it.
func ParseHeader(b []byte, v Version) (h Header, n int, err error) {
	if len(b) == 0 {
		return Header{}, 0, nil
	}
	h.Type, h.Flags = PacketType(b[0]>>4), b[0]&0x0f
	if h.Flags != reservedFlags[h.Type] || h.Type == TypeAuth {
		if err := checkFirstByte(h, v); err != nil {
			return Header{}, 0, err
		}
	}
	switch {
	case len(b) > 1 && b[1] < 0x80:
		h.Length, n = int(b[1]), 2
	case len(b) > 2 && b[2] < 0x80 && b[2] > 0:
		h.Length, n = int(b[1]&0x7f)|int(b[2])<<7, 3
	default:
		length, size := readVarint(b[1:])
		switch {
		case size == 0:
			return Header{}, 0, nil
		case size < 0:
			return Header{}, 0, malformed(h.Type, "remaining length takes more than four bytes")
		case v == V5 && size > varintSize(int(length)): // [MQTT-1.5.5-1]
			return Header{}, 0, malformed(h.Type, "remaining length not in its shortest form")
		}
		h.Length, n = int(length), 1+size
	}
	h.Size = n + h.Length
	return h, n, nil
}

// reservedFlags are the lower four bits of the first byte. Type 0 and PUBLISH never match by themselves.
// [MQTT-2.1.3-1]
var reservedFlags = [16]byte{0: 0xff, TypePublish: 0, TypePubrel: 2, TypeSubscribe: 2, TypeUnsubscribe: 2}

func checkFirstByte(h Header, v Version) error {
	switch h.Type {
	case 0:
		return malformed(0, "reserved packet type 0")
	case TypePublish:
		if h.Flags&0x06 == 0x06 {
			return malformed(h.Type, "QoS 3") // [MQTT-3.3.1-4]
		}
		return nil
	case TypeAuth:
		if v != V5 {
			return malformed(h.Type, "reserved packet type 15")
		}
		if h.Flags == 0 {
			return nil
		}
	case TypeConnect:
		if v == 0 {
			return nil // judged by the decoder, once it knows the version
		}
	}
	// 3.1 has DUP on requests that are sent again, and leaves the other bits open.
	if v == V31 {
		return nil
	}
	return malformed(h.Type, "reserved header bits") // [MQTT-2.2.2-2]
}

// shortest reports whether the remaining length was written in as few bytes as possible.
func (h Header) shortest() bool { return h.Size-h.Length == 1+varintSize(h.Length) }

// packetSize returns the size of a packet with the given remaining length.
func packetSize(remaining int) int { return 1 + varintSize(remaining) + remaining }
