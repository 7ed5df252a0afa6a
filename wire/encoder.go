package wire

import (
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf8"
)

// encoder runs over the fields of a packet twice: first to check and count, then to write. Each
// packet therefore spells out its layout only once.
type encoder struct {
	b       []byte
	size    int // bytes counted or written so far
	writing bool
	packet  PacketType
	version Version
	err     error
}

// layout is a packet that an encoder can run over.
type layout interface {
	Type() PacketType
	encode(e *encoder)
}

// appendPacket appends p to b. If p cannot be encoded, it returns b unchanged and the error. flags are the
// lower bits of the first byte.
func appendPacket(b []byte, v Version, flags byte, p layout) ([]byte, error) {
	e := encoder{packet: p.Type(), version: v}
	p.encode(&e)
	if err := e.begin(b, flags); err != nil {
		return b, err
	}
	p.encode(&e)
	return e.b, nil
}

// begin ends the first run and, if nothing was wrong, writes the fixed header for the second.
func (e *encoder) begin(b []byte, flags byte) error {
	if e.size > MaxRemainingLength {
		e.fail("packet", "is too large for a remaining length")
	}
	if e.err != nil {
		return e.err
	}
	b = slices.Grow(b, packetSize(e.size))
	b = append(b, byte(e.packet)<<4|flags)
	e.b, e.size, e.writing = appendVarint(b, e.size), 0, true
	return nil
}

// sizeOf returns the size of p. It does not check p.
func sizeOf(p layout, v Version) int {
	e := encoder{packet: p.Type(), version: v}
	p.encode(&e)
	return packetSize(e.size)
}

func (e *encoder) fail(field, problem string) {
	if e.err == nil {
		e.err = &FieldError{Packet: e.packet, Field: field, Problem: problem}
	}
}

// only5 refuses a field that versions before 5.0 do not have. It is for fields whose omission would
// change the meaning of the packet.
func (e *encoder) only5(present bool, field string) {
	if present && e.version != V5 {
		e.fail(field, "needs version 5.0")
	}
}

func (e *encoder) byte(x byte) {
	e.size++
	if e.writing {
		e.b = append(e.b, x)
	}
}

func (e *encoder) uint16(x uint16) {
	e.size += 2
	if e.writing {
		e.b = binary.BigEndian.AppendUint16(e.b, x)
	}
}

func (e *encoder) uint32(x uint32) {
	e.size += 4
	if e.writing {
		e.b = binary.BigEndian.AppendUint32(e.b, x)
	}
}

func (e *encoder) varint(x uint32) {
	e.size += varintSize(int(x))
	if e.writing {
		e.b = appendVarint(e.b, int(x))
	}
}

func (e *encoder) binary(field string, x []byte) {
	e.size += 2 + len(x)
	if !e.writing {
		if len(x) > maxField {
			e.fail(field, "is longer than 65535 bytes")
		}
		return
	}
	e.b = binary.BigEndian.AppendUint16(e.b, uint16(len(x)))
	e.b = append(e.b, x...)
}

func (e *encoder) string(field, x string) {
	e.size += 2 + len(x)
	if !e.writing {
		switch {
		case len(x) > maxField:
			e.fail(field, "is longer than 65535 bytes")
		case !utf8.ValidString(x): // [MQTT-1.5.4-1]
			e.fail(field, "is not UTF-8")
		case strings.IndexByte(x, 0) >= 0: // [MQTT-1.5.4-2]
			e.fail(field, "holds U+0000")
		}
		return
	}
	e.b = binary.BigEndian.AppendUint16(e.b, uint16(len(x)))
	e.b = append(e.b, x...)
}

func (e *encoder) topicName(field, x string) {
	if !e.writing && !validTopicName(x) {
		e.fail(field, "is not a topic name")
	}
	e.string(field, x)
}

func (e *encoder) packetID(id uint16) {
	if id == 0 {
		e.fail("PacketID", "is 0") // [MQTT-2.2.1-3]
	}
	e.uint16(id)
}

func (e *encoder) reason(code ReasonCode) {
	if !code.permitted(e.packet, FromServer) && !code.permitted(e.packet, FromClient) {
		e.fail("ReasonCode", "is not for this packet: "+code.Error())
	}
	e.byte(byte(code))
}
