package conformance

import (
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

func serverConnectChecks() []serverCheck {
	return []serverCheck{
		of("CONNECT comes first", "3.1.0-1", "3.1.0-1", "a connection that begins with another packet is closed", (*trial).firstPacket),
		of("one CONNECT per connection", "3.1.0-2", "3.1.0-2", "a second CONNECT ends the connection", (*trial).secondConnect),
		hidden("silent clients", "§3.1.4", "§3.1.4", "a client that sends no CONNECT is disconnected within a reasonable time", "the texts leave the time open"),
		of("protocol name", "3.1.2-1", "3.1.2-1", "a CONNECT with another protocol name is not accepted", (*trial).protocolName),
		of("protocol level", "3.1.2-2", "3.1.2-2", "a level that the server does not have is refused, before 5.0 with return code 1", (*trial).protocolLevel),
		of("valid CONNECT", "3.1.4-4", "3.1.4-5", "a valid CONNECT is answered with CONNACK and success", (*trial).validConnect),
		of("take-over", "3.1.4-2", "3.1.4-3", "a second client with the same identifier ends the connection of the first", (*trial).takeOver),
		of("nothing after a refusal", "3.1.4-5", "3.1.4-6", "what a refused client sends after CONNECT is not processed", (*trial).nothingAfterRefusal),
		of("identifiers of 1 to 23 characters", "3.1.3-5", "3.1.3-5", "client identifiers of 1 to 23 letters and digits are accepted", (*trial).plainIdentifiers),
		of("empty identifier", "3.1.3-6", "3.1.3-6 3.1.3-7 3.2.2-16", "a client without identifier gets one of its own, and 5.0 tells it", (*trial).emptyIdentifier),
		of("empty identifier with a session", "3.1.3-7 3.1.3-8", "", "an empty identifier with Clean Session 0 is refused with return code 2", (*trial).emptyIdentifierKept),
	}
}

func (t *trial) firstPacket() {
	packets := map[string][]byte{
		"PINGREQ":    {0xC0, 0},
		"PUBLISH":    framed(0x30, text("a"), t.properties()),
		"SUBSCRIBE":  framed(0x82, uint16s(1), t.properties(), text("a"), []byte{0}),
		"DISCONNECT": {0xE0, 0},
	}
	if t.version == wire.V5 {
		packets["AUTH"] = framed(0xF0, []byte{0x18}, block([]byte{0x15}, text("x")))
	}
	for name, packet := range packets {
		p := t.dial()
		p.raw(packet)
		p.closed(name + " instead of CONNECT")
	}
}

func (t *trial) secondConnect() {
	p := t.joinAs("a")
	p.send(t.connect(t.id("a")))
	p.refused("a second CONNECT", wire.ProtocolError)
}

func (t *trial) protocolName() {
	for _, name := range []string{"mqtt", "MQTX", "HTTP", "MQTTT"} {
		p := t.dial()
		p.unknown = true
		p.raw(framed(0x10, text(name), []byte{byte(t.version), 2}, uint16s(300), t.properties(), text(t.id("a"))))
		p.closed("the protocol name " + name)
	}
}

func (t *trial) protocolLevel() {
	for _, level := range []byte{2, 6, 0x7F} {
		p := t.dial()
		p.unknown = true
		p.raw(framed(0x10, text("MQTT"), []byte{level, 2}, uint16s(300), t.properties(), text(t.id("a"))))
		reason, told := p.closed("a protocol level that does not exist")
		both := t.s.offers[wire.V5] != nil && t.s.offers[wire.V311] != nil
		if t.version != wire.V5 && !both && (!told || reason != wire.UnsupportedProtocolVersion) {
			t.fail("the protocol level %d is not answered with return code 1", level)
		}
	}
}

func (t *trial) validConnect() {
	p := t.joinAs("a")
	if code := p.connack.ReasonCode; code != wire.Success {
		t.fail("CONNACK has the code %v", code)
	}
	p.alive()
}

func (t *trial) takeOver() {
	first := t.joinAs("a")
	second := t.joinAs("a")
	for {
		packet, err := first.read(t.s.Patience)
		if isTimeout(err) {
			t.fail("the first connection is still open %v after the second was accepted", t.s.Patience)
		}
		if err != nil {
			break
		}
		first.inbox = append(first.inbox, packet)
	}
	second.alive()
	if t.version != wire.V5 {
		return
	}
	for _, packet := range first.inbox {
		if d, ok := packet.(*wire.Disconnect); ok {
			if d.ReasonCode != wire.SessionTakenOver {
				t.depart("the first client is told %v", d.ReasonCode)
			}
			return
		}
	}
	t.depart("the first client gets no DISCONNECT with Session taken over")
}

func (t *trial) nothingAfterRefusal() {
	witness := t.joinAs("w")
	witness.subscribe(filter(t.topic("a"), 0))
	bad := t.connectBytes(3, block(), text(t.id("b"))) // reserved flag
	p := t.dial()
	p.raw(append(bad, framed(0x30, text(t.topic("a")), t.properties(), []byte("smuggled"))...))
	p.closed("a malformed CONNECT")
	witness.quiet("its publisher was refused")
}

func (t *trial) plainIdentifiers() {
	// A short identifier may be in use by others, so the connection ends at once.
	ids := []string{"q", "0123456789ABCDEFGHIJKLM", "NOPQRSTUVWXYZabcdefghij", "klmnopqrstuvwxyz"}
	for _, id := range ids {
		if t.version == wire.V5 { // not the same as in the check of 3.1.1 at the same time
			id = strings.Map(otherCase, id)
		}
		p, connack := t.open(t.connect(id))
		switch {
		case p != nil:
			p.leave()
		case connack != nil:
			t.fail("the identifier %s is refused with %v", id, connack.ReasonCode)
		default:
			t.fail("the connection is closed after the identifier %s", id)
		}
	}
}

func otherCase(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A'
	case 'A' <= r && r <= 'Z':
		return r - 'A' + 'a'
	}
	return '9' - r + '0'
}

func (t *trial) emptyIdentifier() {
	assigned := map[string]bool{}
	var all []*caller
	for range 3 {
		p, connack := t.open(t.connect(""))
		if p == nil {
			reason := "closes the connection"
			if connack != nil {
				reason = connack.ReasonCode.String()
			}
			t.remark("the server takes no empty identifier (%s), which the texts permit", reason)
			return
		}
		all = append(all, p)
		if t.version != wire.V5 {
			continue
		}
		id := connack.AssignedClientID
		if id == "" {
			t.fail("CONNACK has no Assigned Client Identifier")
		}
		if assigned[id] {
			t.fail("the identifier %q is assigned twice", id)
		}
		assigned[id] = true
	}
	for _, p := range all {
		p.alive() // none has taken over another
	}
}

func (t *trial) emptyIdentifierKept() {
	c := t.connect("")
	b, err := c.Append(nil, t.version)
	if err != nil {
		t.fail("the script cannot encode its packet: %v", err)
	}
	b[len(strings.Split(string(b), "MQTT")[0])+5] &^= 2 // Clean Session
	p := t.dial()
	p.raw(b)
	reason, told := p.closed("an empty identifier with Clean Session 0")
	if !told || reason != wire.ClientIdentifierNotValid {
		t.fail("an empty identifier with Clean Session 0 is not answered with return code 2")
	}
}
