package conformance

import (
	"github.com/seed65a45251/mqtt/wire"
)

func serverPingChecks() []serverCheck {
	return []serverCheck{
		of("PINGRESP", "3.12.4-1", "3.12.4-1", "PINGREQ is answered with PINGRESP", (*trial).pings),
	}
}

func (t *trial) pings() {
	p := t.joinAs("a")
	for range 3 {
		p.alive()
	}
}

func serverDisconnectChecks() []serverCheck {
	return []serverCheck{
		of("DISCONNECT", "3.14.4-3", "3.14.4-1 3.14.4-2 3.14.4-3", "DISCONNECT ends the connection, and the will is not published", (*trial).disconnect),
		of("DISCONNECT with Will Message", "", "3.1.2-8", "DISCONNECT with the code 0x04 ends the connection, and the will is published", (*trial).disconnectWithWill),
		of("reserved bits of DISCONNECT", "2.2.2-2 3.14.1-1", "§2.1.3 3.14.1-1", "a DISCONNECT with other header bits breaks the rules: the connection ends, and the will is published", (*trial).disconnectBits),
		of("DISCONNECT that begins an expiry", "", "§3.14.2.2.2", "a DISCONNECT cannot set an expiry interval for a session that had none", (*trial).disconnectExpiry),
	}
}

// mortal connects a client with a will, which the witness has subscribed to.
func (t *trial) mortal(edits ...func(*wire.Connect)) (witness, p *caller) {
	witness = t.fresh("w", filter(t.topic("will"), t.s.highest(t.version, 2)))
	edits = append([]func(*wire.Connect){func(c *wire.Connect) {
		c.Will = &wire.Will{Topic: t.topic("will"), Payload: []byte("last words"), QoS: t.s.highest(t.version, 1)}
	}}, edits...)
	return witness, t.joinAs("a", edits...)
}

func (t *trial) disconnect() {
	witness, p := t.mortal()
	p.send(&wire.Disconnect{})
	_, err := p.read(t.s.Patience)
	if err == nil {
		t.fail("sends a packet after DISCONNECT")
	}
	if isTimeout(err) {
		t.depart("leaves it to the client to close the connection")
		p.drop()
	}
	witness.quiet("its client has sent DISCONNECT")
}

func (t *trial) disconnectWithWill() {
	witness, p := t.mortal()
	p.send(&wire.Disconnect{ReasonCode: wire.DisconnectWithWill})
	witness.expect(t.topic("will"), "last words")
}

func (t *trial) disconnectBits() {
	witness, p := t.mortal()
	p.raw([]byte{0xE1, 0})
	p.closed("a DISCONNECT with the header bits 0001")
	witness.expect(t.topic("will"), "last words")
}

func (t *trial) disconnectExpiry() {
	_, p := t.mortal()
	p.raw(framed(0xE0, []byte{0}, block([]byte{0x11, 0, 0, 0, 100})))
	p.refused("a DISCONNECT with an expiry interval after a CONNECT without one", wire.ProtocolError)
	t.sessions[t.id("a")] = true
	t.joinAs("a", keep).wantPresent(false, "after a session that was to end with its connection")
}
