package conformance

import (
	"github.com/seed65a45251/mqtt/wire"
)

// The server as the sender of QoS 1 and 2.
func serverSendChecks() []serverCheck {
	return []serverCheck{
		of("identifiers of messages", "2.3.1-1 2.3.1-4 4.3.2-1 4.3.3-1", "2.2.1-4 4.3.2-1 4.3.3-1", "a message of QoS 1 or 2 has an identifier that is not 0 and not in use", (*trial).identifiersUnused),
		of("first transmission", "4.3.2-1 4.3.3-1", "4.3.2-2 4.3.3-2", "a message of QoS 1 or 2 first comes without DUP", (*trial).firstTransmission),
		of("PUBREL", "4.3.3-1", "4.3.3-4", "PUBREC is answered with PUBREL under the same identifier", (*trial).pubrelEach),
		of("PUBREC again", "4.3.3-1", "4.3.3-6", "a PUBREC that comes again is answered with PUBREL and not with PUBLISH", (*trial).pubrecAgain),
		of("refusal by a subscriber", "", "4.3.3-4 4.4.0-2", "a PUBREC of 0x80 or above ends the exchange without PUBREL, and the message does not come again", (*trial).pubrecRefuses),
		of("PUBACK with a failure", "", "4.4.0-2", "a PUBACK of 0x80 or above ends the exchange, and the message does not come again", (*trial).pubackRefuses),
		of("no repeats while connected", "", "4.4.0-1", "a message is not sent again on the same connection", (*trial).noRepeats),
	}
}

func (t *trial) identifiersUnused() {
	t.needsQoS(1)
	a, b := t.joinAs("a"), t.joinAs("b")
	most := t.s.highest(t.version, 2)
	a.subscribe(filter(t.topic("a"), most))
	b.publish(t.topic("a"), "held", most)
	held := take[*wire.Publish](a)
	for range 150 {
		for qos := wire.QoS(1); qos <= most; qos++ {
			b.publish(t.topic("a"), "x", qos)
			m := take[*wire.Publish](a)
			if m.PacketID == held.PacketID {
				t.fail("two open messages have the identifier %d", m.PacketID)
			}
			a.acknowledge(m)
		}
	}
	a.acknowledge(held)
	a.alive()
}

func (t *trial) firstTransmission() {
	t.needsQoS(1)
	a, b := t.joinAs("a"), t.joinAs("b")
	most := t.s.highest(t.version, 2)
	a.subscribe(filter(t.topic("a"), most))
	for qos := wire.QoS(1); qos <= most; qos++ {
		b.publish(t.topic("a"), "x", qos)
		if a.expect(t.topic("a"), "x").Duplicate {
			t.fail("a message comes with DUP for the first time")
		}
	}
}

// sent2 lets the server send a QoS 2 message, which is not answered.
func (t *trial) sent2(a *caller) *wire.Publish {
	t.needsQoS(2)
	if code := a.ask(filter(t.topic("a"), 2))[0]; code != wire.GrantedQoS2 {
		t.cannot("the server grants QoS %d at most", code)
	}
	b := t.joinAs("b")
	b.publish(t.topic("a"), "x", 2)
	b.leave()
	m := take[*wire.Publish](a)
	if m.QoS != 2 {
		t.fail("a message of QoS 2 comes with QoS %d to a subscription of QoS 2", m.QoS)
	}
	return m
}

func (t *trial) pubrelEach() {
	a := t.joinAs("a")
	m := t.sent2(a)
	a.acknowledge(m)
	a.alive()
}

func (t *trial) pubrecAgain() {
	a := t.joinAs("a")
	m := t.sent2(a)
	a.send(&wire.Pubrec{PacketID: m.PacketID})
	a.same("PUBREL", take[*wire.Pubrel](a).PacketID, m.PacketID)
	a.send(&wire.Pubrec{PacketID: m.PacketID})
	a.same("PUBREL", take[*wire.Pubrel](a).PacketID, m.PacketID)
	a.silent("PUBREC has come")
	a.send(&wire.Pubcomp{PacketID: m.PacketID})
	a.alive()
}

func (t *trial) pubrecRefuses() {
	a := t.joinAs("a", keep)
	m := t.sent2(a)
	a.send(&wire.Pubrec{PacketID: m.PacketID, ReasonCode: wire.QuotaExceeded})
	a.alive()
	for _, packet := range a.inbox {
		if packet.Type() == wire.TypePubrel {
			t.fail("answers a PUBREC that refuses the message with PUBREL")
		}
	}
	a.drop()
	again := t.joinAs("a", keep)
	again.wantPresent(true, "after the connection was cut")
	again.quiet("the subscriber has refused it")
	for _, packet := range again.inbox {
		if packet.Type() == wire.TypePubrel {
			t.fail("sends PUBREL for a message that was refused")
		}
	}
}

func (t *trial) pubackRefuses() {
	t.needsQoS(1)
	a := t.joinAs("a", keep)
	a.subscribe(filter(t.topic("a"), 1))
	t.joinAs("b").publish(t.topic("a"), "x", 1)
	a.send(&wire.Puback{PacketID: take[*wire.Publish](a).PacketID, ReasonCode: wire.QuotaExceeded})
	a.alive()
	a.drop()
	again := t.joinAs("a", keep)
	again.wantPresent(true, "after the connection was cut")
	again.quiet("the subscriber has refused it")
}

func (t *trial) noRepeats() {
	t.needsQoS(1)
	a := t.joinAs("a")
	a.subscribe(filter(t.topic("a"), 1))
	t.joinAs("b").publish(t.topic("a"), "x", 1)
	m := take[*wire.Publish](a)
	t.wait(2 * nudge)
	a.silent("it was sent before on this connection")
	a.acknowledge(m)
}
