package wire

// block is a property block that a cursor walks through.
type block struct {
	where PacketType
	seen  uint64 // one bit per identifier
	after []byte // what follows the block
}

// received is one property. Its kind decides which of number, data and value hold its content.
type received struct {
	id     propertyID
	number uint32
	data   []byte // string, binary, or a user property's name; aliases the body
	value  []byte // a user property's value
}

// properties begins a property block of the packet, or of the will if where is willBlock. Each call of
// next then moves to the next property. When next returns false, the cursor is behind the block.
func (c *cursor) properties(where PacketType) {
	length := c.varint()
	content := c.take(int(length))
	c.block = block{where: where, after: c.b}
	c.b = content
	if len(content) > smallBlock || c.limits != (limits{}) {
		c.bound(content)
	}
}

// smallBlock is a size below which no block can exceed the default limits.
const smallBlock = 256

func (c *cursor) next() bool {
	for c.err == nil && len(c.b) > 0 {
		if c.nextProperty() {
			return true
		}
	}
	if c.err == nil {
		c.b = c.block.after
	}
	return false
}

// nextProperty reads a property and reports whether it counts.
func (c *cursor) nextProperty() bool {
	// Identifiers are variable byte integers, but all of them fit one byte.
	id := propertyID(c.byte())
	if int(id) >= len(propertyTable) || propertyTable[id].kind == 0 {
		c.malformed("property not known here")
		return false
	}
	stray := !propertyTable[id].blocks.has(c.block.where)
	if stray && (c.packet != TypeConnack || !c.overlook(MalformedPacket, "property not known here")) {
		c.malformed("property not known here")
		return false
	}
	property := &propertyTable[id]
	bit := uint64(1) << id
	if c.block.seen&bit != 0 && !property.repeats.has(c.block.where) {
		c.protocolError(property.name + " more than once")
		return false
	}
	c.block.seen |= bit
	c.property.id = id
	return c.readProperty(property) && c.err == nil && !stray
}

// readProperty reads the value. ok is false for a number that the property cannot have and that is
// tolerated: the property then counts as absent.
func (c *cursor) readProperty(property *property) (ok bool) {
	r := &c.property
	switch property.kind {
	case kindByte:
		r.number = uint32(c.byte())
	case kindUint16:
		r.number = uint32(c.uint16())
	case kindUint32:
		r.number = c.uint32()
	case kindVarint:
		r.number = c.varint()
	case kindBinary:
		r.data = c.binary()
		return true
	case kindPair:
		r.data, r.value = c.text(), c.text() // [MQTT-1.5.7-1]
		return true
	case kindTopic:
		r.data = c.text()
		if c.err == nil && !validTopicName(r.data) {
			c.protocolError(property.name + " is not a topic name") // [MQTT-3.3.2-14]
		}
		return true
	default:
		r.data = c.text()
		return true
	}
	if c.err == nil && (r.number < property.min || r.number > property.max) {
		reason := ProtocolError
		if r.id == propTopicAlias {
			reason = TopicAliasInvalid // [MQTT-3.3.2-8]
		}
		if !c.absent(r) {
			c.fail(&Error{Packet: c.packet, Reason: reason, Detail: property.name + " out of range"})
		}
		return false
	}
	return true
}

// flag returns the value of a property that is 0 or 1.
func (r *received) flag() *bool { return new(r.number != 0) }

// string returns a copy of the value of a string property.
func (r *received) string() string { return string(r.data) }
