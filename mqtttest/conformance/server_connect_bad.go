package conformance

import (
	"fmt"

	"github.com/seed65a45251/mqtt/wire"
)

// badConnect is a CONNECT that a server has to refuse.
type badConnect struct {
	name, v311, v5, text string
	bytes                func(t *trial, id []byte) []byte
}

// The connect flags.
const (
	flagClean      = 0x02
	flagWill       = 0x04
	flagWillQoS2   = 0x10
	flagWillQoS3   = 0x18
	flagWillRetain = 0x20
	flagPassword   = 0x40
	flagUsername   = 0x80
)

func serverBadConnectChecks() (checks []serverCheck) {
	for _, bad := range badConnects {
		checks = append(checks, of(bad.name, bad.v311, bad.v5, "a CONNECT with "+bad.text+" is not accepted", func(t *trial) {
			p := t.dial()
			p.raw(bad.bytes(t, text(t.id("a"))))
			p.closed("a CONNECT with " + bad.text)
		}))
	}
	return append(checks,
		of("no CONNACK to a wrong CONNECT", "3.1.4-1", "", "a CONNECT that breaks the rules is answered with nothing but the end of the connection", (*trial).noAnswer),
		of("no DISCONNECT before CONNACK", "", "3.14.0-1", "the server sends no DISCONNECT before a CONNACK that accepts", (*trial).noEarlyDisconnect))
}

// with builds a CONNECT with flags, and what follows the identifier.
func with(flags byte, fields ...[]byte) func(*trial, []byte) []byte {
	return func(t *trial, id []byte) []byte {
		return t.connectBytes(flags|flagClean, block(), append([][]byte{id}, fields...)...)
	}
}

// having builds a CONNECT of 5.0 with these properties.
func having(properties ...[]byte) func(*trial, []byte) []byte {
	return func(t *trial, id []byte) []byte { return t.connectBytes(flagClean, block(properties...), id) }
}

// identified builds a CONNECT with this client identifier.
func identified(id string) func(*trial, []byte) []byte {
	return func(t *trial, _ []byte) []byte { return t.connectBytes(flagClean, block(), text(id)) }
}

// willed builds a CONNECT with a will of this topic.
func willed(flags byte, topic string) func(*trial, []byte) []byte {
	return func(t *trial, id []byte) []byte {
		return t.connectBytes(flags|flagClean|flagWill, block(), id, t.properties(), text(topic), text("x"))
	}
}

const (
	badUTF8   = "\xff\xfe"
	surrogate = "a\xed\xa0\x80"
)

var badConnects = []badConnect{
	{"reserved connect flag", "3.1.2-3 3.1.4-1", "3.1.2-3 3.1.4-1", "the reserved flag set", func(t *trial, id []byte) []byte {
		return t.connectBytes(3, block(), id)
	}},
	{"reserved bits of CONNECT", "2.2.2-2", "§2.1.3", "reserved header bits set", func(t *trial, id []byte) []byte {
		b := t.connectBytes(flagClean, block(), id)
		b[0] = 0x11
		return b
	}},
	{"will flag without will", "3.1.2-9", "3.1.2-9", "the will flag and no will", with(flagWill)},
	{"will QoS without will", "3.1.2-11 3.1.2-13", "3.1.2-11", "a will QoS and no will flag", with(flagWillQoS2)},
	{"will QoS 3", "3.1.2-14", "3.1.2-12", "a will QoS of 3", func(t *trial, id []byte) []byte { return willed(flagWillQoS3, t.topic("w"))(t, id) }},
	{"will retain without will", "3.1.2-15", "3.1.2-13", "will retain and no will flag", with(flagWillRetain)},
	{"user name flag without user name", "3.1.2-19", "3.1.2-17", "the user name flag and no user name", with(flagUsername)},
	{"user name without its flag", "3.1.2-18", "3.1.2-16", "a user name and no flag for it", with(0, text("user"))},
	{"password flag without password", "3.1.2-21", "3.1.2-19", "the password flag and no password", with(flagUsername|flagPassword, text("user"))},
	{"password without its flag", "3.1.2-20", "3.1.2-18", "a password and no flag for it", with(flagUsername, text("user"), text("password"))},
	{"password without user name", "3.1.2-22", "", "a password and no user name", with(flagPassword, text("password"))},
	{"no client identifier", "3.1.3-3", "3.1.3-3", "no client identifier at all", func(t *trial, _ []byte) []byte { return t.connectBytes(flagClean, block()) }},
	{"identifier that is no UTF-8", "1.5.3-1 3.1.3-4", "1.5.4-1 3.1.3-4", "a client identifier that is no UTF-8", identified(badUTF8)},
	{"identifier with a surrogate", "1.5.3-1", "1.5.4-1", "a client identifier with a surrogate", identified(surrogate)},
	{"identifier with U+0000", "1.5.3-2", "1.5.4-2", "a client identifier with U+0000", identified("a\x00b")},
	{"will topic that is no UTF-8", "3.1.3-10", "3.1.3-11", "a will topic that is no UTF-8", willed(0, badUTF8)},
	{"user name that is no UTF-8", "3.1.3-11", "3.1.3-12", "a user name that is no UTF-8", with(flagUsername, text(badUTF8))},
	{"field longer than CONNECT", "3.1.4-1", "3.1.4-1", "a client identifier longer than the packet", func(t *trial, _ []byte) []byte {
		return t.connectBytes(flagClean, block(), []byte{0, 9, 'a'})
	}},
	{"Receive Maximum 0", "", "§3.1.2.11.3", "a Receive Maximum of 0", having([]byte{0x21, 0, 0})},
	{"Maximum Packet Size 0", "", "§3.1.2.11.4", "a Maximum Packet Size of 0", having([]byte{0x27, 0, 0, 0, 0})},
	{"Request Response Information 2", "", "§3.1.2.11.6", "a Request Response Information of 2", having([]byte{0x19, 2})},
	{"Request Problem Information 2", "", "§3.1.2.11.7", "a Request Problem Information of 2", having([]byte{0x17, 2})},
	{"property of CONNECT twice", "", "§3.1.2.11", "a property twice", having([]byte{0x11, 0, 0, 0, 1}, []byte{0x11, 0, 0, 0, 1})},
	{"property not for CONNECT", "", "§2.2.2.2", "a property that CONNECT does not have", having([]byte{0x23, 0, 1})},
	{"unknown property", "", "§2.2.2.2", "a property that does not exist", having([]byte{0x7F, 0})},
	{"authentication data without method", "", "§3.1.2.11.10", "Authentication Data and no method", having([]byte{0x16}, text("x"))},
	{"user property that is no UTF-8", "", "1.5.7-1", "a user property that is no UTF-8", having([]byte{0x26}, text("name"), text(badUTF8))},
	{"property length too long", "", "1.5.5-1", "a property length in more bytes than it needs", func(t *trial, id []byte) []byte {
		return t.connectBytes(flagClean, []byte{0x80, 0}, id)
	}},
	{"will with a topic that has wildcards", "", "§3.1.3.3", "a will topic with a wildcard", willed(0, "a/#")},
}

func (t *trial) noAnswer() {
	for _, bad := range badConnects {
		if bad.v311 == "" {
			continue
		}
		p := t.dial()
		p.raw(bad.bytes(t, text(t.id("n"))))
		if packet, _ := p.read(nudge); packet != nil {
			t.fail("answers a CONNECT with %s with %v", bad.text, packet.Type())
		}
		p.drop()
	}
}

func (t *trial) noEarlyDisconnect() {
	for i, bad := range badConnects {
		if bad.v5 == "" {
			continue
		}
		p := t.dial()
		p.raw(bad.bytes(t, text(t.id(fmt.Sprint("d", i)))))
		for {
			packet, err := p.read(nudge)
			if packet == nil || err != nil {
				break
			}
			if d, ok := packet.(*wire.Disconnect); ok {
				t.fail("answers a CONNECT with %s with DISCONNECT, %v", bad.text, d.ReasonCode)
			}
		}
		p.drop()
	}
}
