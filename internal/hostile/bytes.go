package hostile

import "encoding/binary"

// These are PUBLISHes that cost their receiver most. All of them are for 5.0.

// userProperty is the shortest user property, without name and value. A receiver that
// decodes it stores two strings.
var userProperty = []byte{0x26, 0, 0, 0, 0}

// EmptyProperties returns n user properties with their length in front.
func EmptyProperties(n int) []byte {
	b := variable(nil, n*len(userProperty))
	for range n {
		b = append(b, userProperty...)
	}
	return b
}

// PublishOfProperties returns a PUBLISH with n empty user properties and no payload.
func PublishOfProperties(topic string, qos byte, id uint16, n int) []byte {
	return publish(topic, qos, id, EmptyProperties(n), nil)
}

// PublishOfPayload returns a PUBLISH with n zeros.
func PublishOfPayload(topic string, qos byte, id uint16, n int) []byte {
	return publish(topic, qos, id, []byte{0}, make([]byte, n))
}

func publish(topic string, qos byte, id uint16, properties, payload []byte) []byte {
	body := text(nil, topic)
	if qos > 0 {
		body = binary.BigEndian.AppendUint16(body, id)
	}
	return Packet(0x30|qos<<1, body, properties, payload)
}

// Packet returns a packet with this first byte and with the parts as its body.
func Packet(first byte, parts ...[]byte) []byte {
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	b := variable(append(make([]byte, 0, n+5), first), n)
	for _, part := range parts {
		b = append(b, part...)
	}
	return b
}

// Claim returns the beginning of a packet that claims to have n bytes.
func Claim(first byte, n int) []byte { return variable([]byte{first}, n) }

// variable appends n as a variable byte integer.
func variable(b []byte, n int) []byte {
	for n > 0x7f {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func text(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
