package wire

import (
	"encoding/binary"
	"strings"
)

// cursor takes the fields of a packet's body one after the other. After the first problem there are
// no bytes left and every field is zero, so callers have to check only at the end.
type cursor struct {
	b      []byte
	packet PacketType
	err    error

	tolerate func(*Error)    // see Decoder.Tolerate
	limits   limits          // as configured, without defaults
	excess   error           // the error if a PUBLISH has too many properties
	words    strings.Builder // memory for the text of user properties

	block    block // the property block that is being read
	property received
}

func (c *cursor) malformed(detail string) {
	c.fail(malformed(c.packet, detail))
}

func (c *cursor) protocolError(detail string) {
	c.fail(protocolError(c.packet, detail))
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.b = nil
}

// end returns the first problem. Remaining bytes are a problem, too.
func (c *cursor) end() error {
	if len(c.b) > 0 {
		c.malformed("bytes after the last field")
	}
	return c.err
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) {
		c.malformed("field runs past the end")
		return nil
	}
	field := c.b[:n:n]
	c.b = c.b[n:]
	return field
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.malformed("ends too early")
		return 0
	}
	x := c.b[0]
	c.b = c.b[1:]
	return x
}

func (c *cursor) uint16() uint16 {
	if len(c.b) < 2 {
		c.malformed("ends too early")
		return 0
	}
	x := binary.BigEndian.Uint16(c.b)
	c.b = c.b[2:]
	return x
}

func (c *cursor) uint32() uint32 {
	if len(c.b) < 4 {
		c.malformed("ends too early")
		return 0
	}
	x := binary.BigEndian.Uint32(c.b)
	c.b = c.b[4:]
	return x
}

// varint takes a variable byte integer; only 5.0 has them inside a body.
func (c *cursor) varint() uint32 {
	x, n := readVarint(c.b)
	switch {
	case n == 0:
		c.malformed("ends too early")
		return 0
	case n < 0:
		c.malformed("variable byte integer of more than four bytes")
		return 0
	case n > varintSize(int(x)): // [MQTT-1.5.5-1]
		c.malformed("variable byte integer not in its shortest form")
		return 0
	}
	c.b = c.b[n:]
	return x
}

// binary takes a binary field. It is not nil unless the cursor has failed. It aliases the body.
func (c *cursor) binary() []byte { return c.take(int(c.uint16())) }

// text takes a string field without copying it.
func (c *cursor) text() []byte {
	b := c.binary()
	if !validText(b) {
		c.malformed("string is not UTF-8 or holds U+0000") // [MQTT-1.5.4-1] [MQTT-1.5.4-2]
		return nil
	}
	return b
}

func (c *cursor) string() string { return string(c.text()) }

// packetID takes a packet identifier.
func (c *cursor) packetID() uint16 {
	id := c.uint16()
	if id == 0 && c.err == nil {
		c.protocolError("packet identifier 0") // [MQTT-2.2.1-3] [MQTT-2.2.1-4]
	}
	return id
}

// reason takes a reason code of 5.0.
func (c *cursor) reason(from Sender) ReasonCode {
	code := ReasonCode(c.byte())
	if c.err == nil && !code.permitted(c.packet, from) {
		detail := "not for this packet and sender: " + code.Error()
		if c.packet == TypeAuth {
			c.protocolError(detail)
		} else {
			c.overlook(ProtocolError, detail) // whether it is a failure is in the code itself
		}
	}
	return code
}
