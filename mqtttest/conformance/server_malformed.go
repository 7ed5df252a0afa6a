package conformance

import (
	"github.com/seed65a45251/mqtt/wire"
)

// badPacket is a packet that has to end the connection of a client that is connected.
type badPacket struct {
	name, v311, v5, text string
	bytes                func(*trial) []byte
}

// fixed is a packet of these bytes.
func fixed(b ...byte) func(*trial) []byte { return func(*trial) []byte { return b } }

// publishing is a PUBLISH of QoS 0 with these fields.
func publishing(topic string, properties ...[]byte) func(*trial) []byte {
	return func(t *trial) []byte { return framed(0x30, text(topic), t.properties(properties...), []byte("x")) }
}

var badPackets = []badPacket{
	{"packet type 0", "4.8.0-1", "4.13.1-1", "a packet of type 0", fixed(0, 0)},
	{"packet type 15", "4.8.0-1", "", "a packet of type 15", fixed(0xF0, 0)},
	{"CONNACK from a client", "4.8.0-1", "§2.1.2 4.13.1-1", "a CONNACK", func(t *trial) []byte { return framed(0x20, []byte{0, 0}, t.properties()) }},
	{"SUBACK from a client", "4.8.0-1", "§2.1.2 4.13.1-1", "a SUBACK", func(t *trial) []byte { return framed(0x90, uint16s(1), t.properties(), []byte{0}) }},
	{"UNSUBACK from a client", "4.8.0-1", "§2.1.2 4.13.1-1", "an UNSUBACK", func(t *trial) []byte {
		if t.version == wire.V5 {
			return framed(0xB0, uint16s(1), block(), []byte{0})
		}
		return framed(0xB0, uint16s(1))
	}},
	{"PINGRESP from a client", "4.8.0-1", "§2.1.2 4.13.1-1", "a PINGRESP", fixed(0xD0, 0)},
	{"reserved bits of PINGREQ", "2.2.2-2", "§2.1.3", "a PINGREQ with reserved bits", fixed(0xC1, 0)},
	{"reserved bits of PUBACK", "2.2.2-2", "§2.1.3", "a PUBACK with reserved bits", fixed(0x41, 2, 0, 1)},
	{"reserved bits of PUBREC", "2.2.2-2", "§2.1.3", "a PUBREC with reserved bits", fixed(0x51, 2, 0, 1)},
	{"reserved bits of PUBREL", "3.6.1-1", "3.6.1-1", "a PUBREL with the header bits 0000", fixed(0x60, 2, 0, 1)},
	{"reserved bits of PUBCOMP", "2.2.2-2", "§2.1.3", "a PUBCOMP with reserved bits", fixed(0x71, 2, 0, 1)},
	{"PINGREQ with a body", "§3.12", "§3.12", "a PINGREQ with a body", fixed(0xC0, 1, 0)},
	{"remaining length of five bytes", "§2.2.3", "§1.5.5", "a remaining length of more than four bytes", fixed(0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01)},
	{"remaining length too long", "", "1.5.5-1", "a remaining length in more bytes than it needs", fixed(0xC0, 0x80, 0x00)},
	{"identifier 0 of PUBLISH", "2.3.1-1", "2.2.1-3", "a PUBLISH of QoS 1 with the identifier 0", func(t *trial) []byte {
		return framed(0x32, text(t.topic("a")), uint16s(0), t.properties())
	}},
	{"topic that is no UTF-8", "3.3.2-1 1.5.3-1", "3.3.2-1 1.5.4-1", "a topic that is no UTF-8", publishing(badUTF8)},
	{"topic with a surrogate", "1.5.3-1", "1.5.4-1", "a topic with a surrogate", publishing(surrogate)},
	{"topic with U+0000", "1.5.3-2 4.7.3-2", "1.5.4-2 4.7.3-2", "a topic with U+0000", publishing("a\x00b")},
	{"empty topic", "4.7.3-1", "4.7.3-1", "an empty topic", publishing("")},
	{"topic longer than PUBLISH", "§3.3.2", "§2.1.4", "a topic longer than the packet", fixed(0x30, 4, 0, 9, 'a', 'b')},
	{"PUBLISH without identifier", "§3.3.2", "§2.1.4", "a PUBLISH of QoS 1 that ends before its identifier", func(*trial) []byte { return framed(0x32, text("a")) }},
	{"SUBSCRIBE that ends early", "§3.8.3", "§2.1.4", "a SUBSCRIBE without options", func(t *trial) []byte { return framed(0x82, uint16s(1), t.properties(), text("a")) }},
	{"PUBACK that ends early", "§3.4", "§2.1.4", "a PUBACK of one byte", fixed(0x40, 1, 0)},
	{"property of PUBLISH twice", "", "§3.3.2.3", "a property twice", publishing("a", []byte{0x02, 0, 0, 0, 9}, []byte{0x02, 0, 0, 0, 9})},
	{"property not for PUBLISH", "", "§2.2.2.2", "a property that PUBLISH does not have", publishing("a", []byte{0x21, 0, 9})},
	{"unknown property of PUBLISH", "", "§2.2.2.2", "a property that does not exist", publishing("a", []byte{0x7F, 0})},
	{"property block longer than PUBLISH", "", "§2.1.4", "a property block longer than the packet", func(*trial) []byte { return framed(0x30, text("a"), []byte{99}) }},
	{"payload format 2", "", "§3.3.2.3.2", "a Payload Format Indicator of 2", publishing("a", []byte{0x01, 2})},
	{"user property of PUBLISH that is no UTF-8", "", "1.5.7-1", "a user property that is no UTF-8", publishing("a", []byte{0x26}, text(badUTF8), text("x"))},
	{"content type that is no UTF-8", "", "3.3.2-19", "a content type that is no UTF-8", publishing("a", []byte{0x03}, text(badUTF8))},
	{"response topic that is no UTF-8", "", "3.3.2-13", "a response topic that is no UTF-8", publishing("a", []byte{0x08}, text(badUTF8))},
	{"code of PUBACK", "", "3.4.2-1", "a PUBACK with a code that it does not have", fixed(0x40, 3, 0, 1, 0x01)},
	{"code of DISCONNECT", "", "3.14.2-1", "a DISCONNECT with a code that does not exist", fixed(0xE0, 1, 0x05)},
	{"property length of PUBLISH too long", "", "1.5.5-1", "a property length in more bytes than it needs", func(*trial) []byte { return framed(0x30, text("a"), []byte{0x80, 0}) }},
}

func serverMalformedChecks() (checks []serverCheck) {
	for _, bad := range badPackets {
		checks = append(checks, of(bad.name, bad.v311, bad.v5, bad.text+" ends the connection", func(t *trial) {
			p := t.joinAs("a")
			p.raw(bad.bytes(t))
			p.refused(bad.text, wire.MalformedPacket, wire.ProtocolError, wire.TopicNameInvalid, wire.PayloadFormatInvalid)
		}))
	}
	return append(checks,
		of("others are not disturbed", "4.8.0-1", "4.13.1-1", "what one client does wrong does not touch the connections of others", (*trial).othersUndisturbed))
}

func (t *trial) othersUndisturbed() {
	witness := t.joinAs("w")
	witness.subscribe(filter(t.topic("witness"), 0))
	for _, bad := range badPackets {
		if (t.version == wire.V5 && bad.v5 == "") || (t.version != wire.V5 && bad.v311 == "") {
			continue
		}
		p := t.joinAs("a")
		p.raw(bad.bytes(t))
		p.settle()
		p.drop()
	}
	t.joinAs("b").publish(t.topic("witness"), "x", 0)
	witness.expect(t.topic("witness"), "x")
}
