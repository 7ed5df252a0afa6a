package wire

import "slices"

// open begins a property block; close puts the block's length in front of it. [MQTT-2.2.2-1]
func (e *encoder) open() (mark int) { return e.size }

func (e *encoder) close(mark int) {
	n := e.size - mark
	e.size += varintSize(n)
	if e.writing {
		var length [4]byte
		e.b = slices.Insert(e.b, len(e.b)-n, appendVarint(length[:0], n)...)
	}
}

// The methods below append one property each, and nothing when it is absent.

func (e *encoder) byteProperty(id propertyID, x byte) {
	e.byte(byte(id))
	e.byte(x)
}

func (e *encoder) flagProperty(id propertyID, x *bool) {
	switch {
	case x == nil:
	case *x:
		e.byteProperty(id, 1)
	default:
		e.byteProperty(id, 0)
	}
}

func (e *encoder) uint16Property(id propertyID, x uint16) {
	if x != 0 {
		e.byte(byte(id))
		e.uint16(x)
	}
}

func (e *encoder) uint32Property(id propertyID, x *uint32) {
	if x != nil {
		e.byte(byte(id))
		e.uint32(*x)
	}
}

func (e *encoder) stringProperty(id propertyID, x string) {
	if x != "" {
		e.byte(byte(id))
		e.string(propertyTable[id].name, x)
	}
}

func (e *encoder) topicProperty(id propertyID, x string) {
	if x != "" {
		e.byte(byte(id))
		e.topicName(propertyTable[id].name, x)
	}
}

func (e *encoder) binaryProperty(id propertyID, x []byte) {
	if x != nil {
		e.byte(byte(id))
		e.binary(propertyTable[id].name, x)
	}
}

func (e *encoder) subscriptionID(id uint32) {
	if id == 0 || id > MaxRemainingLength {
		e.fail("Subscription Identifier", "is not between 1 and 268435455")
	}
	e.byte(byte(propSubscriptionID))
	e.varint(id)
}

func (e *encoder) userProperties(list []UserProperty) {
	for i := range list {
		e.byte(byte(propUserProperty))
		e.string("User Property name", list[i].Name)
		e.string("User Property value", list[i].Value)
	}
}
