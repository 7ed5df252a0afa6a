package wire

import "fmt"

const (
	defaultPropertyBytes = 16 << 20
	defaultElements      = 1 << 16
)

// limits bound what is decoded of one packet. Zero means the default.
type limits struct{ bytes, elements int }

func (l limits) resolved() limits {
	if l.bytes <= 0 {
		l.bytes = defaultPropertyBytes
	}
	if l.elements <= 0 {
		l.elements = defaultElements
	}
	return l
}

// cursor begins to take the fields of a packet.
func (d *Decoder) cursor(b []byte, t PacketType) cursor {
	return cursor{b: b, packet: t, tolerate: d.Tolerate, limits: limits{d.MaxPropertyBytes, d.MaxElements}}
}

// bound checks the size of a block before anything of it is decoded. A PUBLISH that exceeds the
// limits continues without the repeatable properties, so that it can be answered. Any other packet
// is refused.
func (c *cursor) bound(content []byte) {
	most := c.limits.resolved()
	var detail string
	switch {
	case len(content) > most.bytes:
		detail = fmt.Sprintf("properties of %d bytes, more than %d", len(content), most.bytes)
	case len(content)/smallestProperty > most.elements && measure(content).repeated > most.elements:
		detail = fmt.Sprintf("more than %d properties", most.elements)
	default:
		return
	}
	c.excess = &Error{Packet: c.packet, Reason: QuotaExceeded, Detail: detail}
	if c.packet != TypePublish {
		c.fail(c.excess)
	}
}

// smallestProperty is the size of the smallest property.
const smallestProperty = 2

// measures count the repeatable parts of a property block.
type measures struct {
	repeated int // user properties and subscription identifiers
	pairs    int // user properties
	text     int // bytes of their names and values
}

// measure walks through the properties of b without looking at their values. It stops at the first
// malformed one.
func measure(b []byte) (m measures) {
	for len(b) > 0 && int(b[0]) < len(propertyTable) {
		id := propertyID(b[0])
		n := propertySize(propertyTable[id].kind, b[1:])
		if n <= 0 || n > len(b)-1 {
			break
		}
		switch id {
		case propUserProperty:
			m.repeated++
			m.pairs++
			m.text += n - 4
		case propSubscriptionID:
			m.repeated++
		}
		b = b[1+n:]
	}
	return m
}

// propertySize returns the size of the property value at the start of b, which may be incomplete. It
// is 0 if the size cannot be told.
func propertySize(kind propertyKind, b []byte) int {
	switch kind {
	case kindByte:
		return 1
	case kindUint16:
		return 2
	case kindUint32:
		return 4
	case kindVarint:
		_, n := readVarint(b)
		return n
	case kindString, kindTopic, kindBinary:
		return fieldSize(b)
	case kindPair:
		name := fieldSize(b)
		if name == 0 || name > len(b) {
			return 0
		}
		if value := fieldSize(b[name:]); value > 0 {
			return name + value
		}
	}
	return 0
}

// fieldSize returns the size of the string or binary field at the start of b, with its length. It is 0
// if b ends before the size is known.
func fieldSize(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	return 2 + (int(b[0])<<8 | int(b[1]))
}

// userProperty appends the current property to list. The list is allocated once for the whole
// block, and the texts share one piece of memory.
func (c *cursor) userProperty(list []UserProperty) []UserProperty {
	if c.excess != nil {
		return list
	}
	if list == nil {
		here := measure(c.b)
		list = make([]UserProperty, 0, 1+here.pairs)
		c.words.Reset()
		c.words.Grow(len(c.property.data) + len(c.property.value) + here.text)
	}
	return append(list, UserProperty{Name: c.keep(c.property.data), Value: c.keep(c.property.value)})
}

// keep returns a copy of b. All copies share one piece of memory.
func (c *cursor) keep(b []byte) string {
	begin := c.words.Len()
	c.words.Write(b)
	return c.words.String()[begin:]
}

// countFilters returns how many filters follow, each with that many bytes of options. It refuses
// too many.
func (c *cursor) countFilters(options int) (n int) {
	for b := c.b; len(b) >= 2; n++ {
		b = b[min(fieldSize(b)+options, len(b)):]
	}
	if most := c.limits.resolved().elements; n > most {
		c.fail(&Error{Packet: c.packet, Reason: QuotaExceeded, Detail: fmt.Sprintf("more than %d filters", most)})
		return 0
	}
	return n
}
