package main

import (
	"encoding/binary"
	"errors"
	"net"
)

// First bytes of the packets that the servers and the raw clients need. They
// are written by hand here: the limit must not depend on the library whose
// distance from the limit is measured.
const (
	typeConnect     = 0x10
	typeConnack     = 0x20
	typePublish     = 0x30
	typePuback      = 0x40
	typePubrec      = 0x50
	typePubrel      = 0x62
	typePubcomp     = 0x70
	typeSubscribe   = 0x82
	typeSuback      = 0x90
	typeUnsubscribe = 0xa2
	typeUnsuback    = 0xb0
	typePingreq     = 0xc0
	typePingresp    = 0xd0
	typeDisconnect  = 0xe0
)

var errMalformed = errors.New("malformed packet")

// nextPacket cuts the first packet from b. size is 0 when b does not hold all
// of it yet.
func nextPacket(b []byte) (first byte, body []byte, size int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	length, n := int(b[1]), 2
	if length >= 0x80 {
		if length, n, err = remainingLength(b); n == 0 || err != nil {
			return 0, nil, 0, err
		}
	}
	if size = n + length; size > len(b) {
		return 0, nil, 0, nil
	}
	return b[0], b[n:size], size, nil
}

// remainingLength decodes the length behind the first byte of b. n is where the
// body starts, or 0 when b is too short to say.
func remainingLength(b []byte) (length, n int, err error) {
	for i := range 4 {
		if 1+i == len(b) {
			return 0, 0, nil
		}
		length |= int(b[1+i]&0x7f) << (7 * i)
		if b[1+i] < 0x80 {
			return length, 2 + i, nil
		}
	}
	return 0, 0, errMalformed
}

func appendLength(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendAck(b []byte, first byte, id uint16) []byte {
	return append(b, first, 2, byte(id>>8), byte(id))
}

// publishing is what all PUBLISH packets of a run have in common.
type publishing struct {
	topic string
	qos   byte
	v5    bool
	subID int // 0: none
}

// append appends one PUBLISH. id is used above QoS 0.
func (p publishing) append(b []byte, id uint16, payload []byte) []byte {
	var props [8]byte
	properties := props[:0]
	if p.v5 {
		if p.subID > 0 {
			properties = append(properties, 0, 0x0b)
			properties = appendLength(properties, p.subID)
			properties[0] = byte(len(properties) - 1)
		} else {
			properties = append(properties, 0)
		}
	}
	length := 2 + len(p.topic) + len(properties) + len(payload)
	if p.qos > 0 {
		length += 2
	}
	b = append(b, typePublish|p.qos<<1)
	b = appendLength(b, length)
	b = appendString(b, p.topic)
	if p.qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	b = append(b, properties...)
	return append(b, payload...)
}

// publishID returns the packet identifier of a PUBLISH above QoS 0.
func publishID(body []byte) (uint16, error) {
	if len(body) < 2 {
		return 0, errMalformed
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) < n+2 {
		return 0, errMalformed
	}
	return binary.BigEndian.Uint16(body[n:]), nil
}

// packetID returns the identifier at the start of an acknowledgement.
func packetID(body []byte) (uint16, error) {
	if len(body) < 2 {
		return 0, errMalformed
	}
	return binary.BigEndian.Uint16(body), nil
}

func appendConnect(b []byte, clientID string) []byte {
	body := appendString(nil, "MQTT")
	body = append(body, 4, 0x02, 0, 0) // 3.1.1, clean session, no keep-alive
	body = appendString(body, clientID)
	return append(appendLength(append(b, typeConnect), len(body)), body...)
}

func appendSubscribe(b []byte, id uint16, filter string, qos byte) []byte {
	body := binary.BigEndian.AppendUint16(nil, id)
	body = append(appendString(body, filter), qos)
	return append(appendLength(append(b, typeSubscribe), len(body)), body...)
}

// connectVersion returns the protocol level of a CONNECT.
func connectVersion(body []byte) (byte, error) {
	if len(body) < 2 {
		return 0, errMalformed
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) <= n {
		return 0, errMalformed
	}
	return body[n], nil
}

// appendConnack accepts. receiveMaximum 0 leaves it out.
func appendConnack(b []byte, version byte, receiveMaximum int) []byte {
	switch {
	case version < 5:
		return append(b, typeConnack, 2, 0, 0)
	case receiveMaximum == 0:
		return append(b, typeConnack, 3, 0, 0, 0)
	}
	return append(b, typeConnack, 6, 0, 0, 3, 0x21, byte(receiveMaximum>>8), byte(receiveMaximum))
}

// subscription is what a SUBSCRIBE asks for.
type subscription struct {
	packetID uint16
	subID    int // 0: none
	filters  []string
	qos      []byte
}

func parseSubscribe(body []byte, v5 bool) (s subscription, err error) {
	if s.packetID, err = packetID(body); err != nil {
		return s, err
	}
	body = body[2:]
	if v5 {
		length, n, err := remainingLength(append([]byte{0}, body[:min(4, len(body))]...))
		if n == 0 || err != nil || len(body) < n-1+length {
			return s, errMalformed
		}
		properties := body[n-1 : n-1+length]
		body = body[n-1+length:]
		if len(properties) > 0 && properties[0] == 0x0b {
			if s.subID, n, err = remainingLength(properties); n == 0 || err != nil {
				return s, errMalformed
			}
		}
	}
	for len(body) > 0 {
		if len(body) < 2 {
			return s, errMalformed
		}
		n := 2 + int(binary.BigEndian.Uint16(body))
		if len(body) <= n {
			return s, errMalformed
		}
		s.filters = append(s.filters, string(body[2:n]))
		s.qos = append(s.qos, body[n]&3)
		body = body[n+1:]
	}
	return s, nil
}

func (s subscription) appendSuback(b []byte, v5 bool) []byte {
	length := 2 + len(s.qos)
	if v5 {
		length++
	}
	b = appendLength(append(b, typeSuback), length)
	b = binary.BigEndian.AppendUint16(b, s.packetID)
	if v5 {
		b = append(b, 0)
	}
	return append(b, s.qos...)
}

// intake reads packets in place from a buffer that grows with the traffic.
type intake struct {
	conn net.Conn
	max  int // the buffer grows beyond only for a large packet that is no PUBLISH
	buf  []byte
	r, w int
	// skip is how much of a PUBLISH is still to come that next has returned
	// without its end.
	skip int
}

// fill reads once.
func (in *intake) fill() error {
	full := in.w == len(in.buf)
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if in.w == len(in.buf) || full && len(in.buf) < in.max {
		grown := make([]byte, max(4<<10, 2*len(in.buf)))
		copy(grown, in.buf[:in.w])
		in.buf = grown
	}
	n, err := in.conn.Read(in.buf[in.w:])
	in.w += n
	if n == 0 {
		return err
	}
	gone := min(in.skip, in.w-in.r)
	in.r += gone
	in.skip -= gone
	return nil
}

// next cuts the next packet; ok is false when more has to be read first.
func (in *intake) next() (first byte, body []byte, ok bool, err error) {
	first, body, size, err := nextPacket(in.buf[in.r:in.w])
	if size == 0 && err == nil && in.w-in.r >= publishHead && in.buf[in.r]&0xf0 == typePublish {
		return in.nextHead()
	}
	in.r += size
	return first, body, size > 0, err
}

// publishHead is enough to hold everything in front of the payload.
const publishHead = 512

// nextHead cuts off the head of a PUBLISH that the buffer is too small for, and
// drops the rest as it comes: to gather it would cost the servers and the limits
// more than to read it.
func (in *intake) nextHead() (first byte, body []byte, ok bool, err error) {
	b := in.buf[in.r:in.w]
	length, n, err := remainingLength(b)
	if err != nil || n+length <= in.max {
		return 0, nil, false, err
	}
	in.r = in.w
	in.skip = n + length - len(b)
	return b[0], b[n:], true, nil
}
