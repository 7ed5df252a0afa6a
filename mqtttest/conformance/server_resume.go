package conformance

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func serverResumeChecks() []serverCheck {
	return []serverCheck{
		of("messages for an absent client", "3.1.2-5 4.5.0-1", "4.5.0-1 4.1.0-1", "messages of QoS 1 and 2 are kept while the client of a session is away", (*trial).keptWhileAway),
		of("PUBLISH is repeated", "3.3.1-1 4.3.2-1 4.3.3-1 4.4.0-1", "3.3.1-1 4.3.2-3 4.3.3-3 4.4.0-1", "a message that was not acknowledged comes again on the next connection, with DUP, under its identifier", (*trial).publishRepeated),
		of("PUBREL is repeated", "4.3.3-1 4.4.0-1", "4.3.3-5 4.3.3-6 4.4.0-1", "after PUBREC, PUBREL comes again on the next connection, and not PUBLISH", (*trial).pubrelRepeated),
		of("acknowledged messages", "4.3.2-1 4.3.3-1", "4.3.2-3 4.3.3-5", "a message that was acknowledged does not come again", (*trial).acknowledgedNotRepeated),
		of("expiry of a message that was sent", "", "4.3.3-7", "an exchange goes on although the message has expired since it was sent", (*trial).exchangeOutlivesExpiry),
		of("order of repeats", "4.6.0-1", "4.6.0-1", "messages come again in the order in which they came first", (*trial).repeatsInOrder),
	}
}

func (t *trial) keptWhileAway() {
	t.needsQoS(1)
	most := t.s.highest(t.version, 2)
	p := t.joinAs("a", keep)
	p.subscribe(filter(t.topic("a"), most))
	p.leave()
	b := t.joinAs("b")
	for qos := wire.QoS(1); qos <= most; qos++ {
		b.publish(t.topic("a"), string(rune('0'+qos)), qos)
	}
	again := t.joinAs("a", keep)
	again.wantPresent(true, "for a session that was kept")
	for qos := wire.QoS(1); qos <= most; qos++ {
		again.expect(t.topic("a"), string(rune('0'+qos)))
	}
}

func (t *trial) publishRepeated() {
	t.needsQoS(1)
	for qos := wire.QoS(1); qos <= t.s.highest(t.version, 2); qos++ {
		name := string(rune('0' + qos))
		a := t.joinAs("a"+name, keep)
		if code := a.ask(filter(t.topic(name), qos))[0]; code != wire.ReasonCode(qos) {
			t.remark("QoS %d is granted as QoS %d", qos, code)
			continue
		}
		b := t.joinAs("b")
		b.publish(t.topic(name), "x", qos)
		first := take[*wire.Publish](a)
		a.drop()
		again := t.joinAs("a"+name, keep)
		again.wantPresent(true, "after the connection was cut")
		m := again.expect(t.topic(name), "x")
		if !m.Duplicate {
			t.fail("a message of QoS %d comes again without DUP", qos)
		}
		if m.PacketID != first.PacketID {
			t.fail("a message of QoS %d comes again under the identifier %d, not %d", qos, m.PacketID, first.PacketID)
		}
	}
}

func (t *trial) pubrelRepeated() {
	a := t.joinAs("a", keep)
	m := t.sent2(a)
	a.send(&wire.Pubrec{PacketID: m.PacketID})
	take[*wire.Pubrel](a)
	a.drop()
	again := t.joinAs("a", keep)
	again.wantPresent(true, "after the connection was cut")
	again.same("PUBREL", take[*wire.Pubrel](again).PacketID, m.PacketID)
	again.send(&wire.Pubcomp{PacketID: m.PacketID})
	again.quiet("it was received")
}

func (t *trial) acknowledgedNotRepeated() {
	t.needsQoS(1)
	a := t.joinAs("a", keep)
	most := t.s.highest(t.version, 2)
	a.subscribe(filter(t.topic("a"), most))
	b := t.joinAs("b")
	for qos := wire.QoS(1); qos <= most; qos++ {
		b.publish(t.topic("a"), "x", qos)
		a.expect(t.topic("a"), "x")
	}
	a.alive()
	a.drop()
	again := t.joinAs("a", keep)
	again.wantPresent(true, "after the connection was cut")
	again.quiet("they were acknowledged")
	for _, packet := range again.inbox {
		if packet.Type() == wire.TypePubrel {
			t.fail("PUBREL comes again after PUBCOMP")
		}
	}
}

func (t *trial) exchangeOutlivesExpiry() {
	t.needsQoS(2)
	a := t.joinAs("a", keep)
	a.subscribe(filter(t.topic("a"), 2))
	t.joinAs("b").publishWith(&wire.Publish{
		Topic: t.topic("a"), QoS: 2, Payload: []byte("x"), Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32(2))},
	})
	m := take[*wire.Publish](a)
	a.send(&wire.Pubrec{PacketID: m.PacketID})
	take[*wire.Pubrel](a)
	a.drop()
	t.wait(3500 * time.Millisecond)
	again := t.joinAs("a", keep)
	again.same("PUBREL", take[*wire.Pubrel](again).PacketID, m.PacketID)
	again.send(&wire.Pubcomp{PacketID: m.PacketID})
	again.alive()
}

func (t *trial) repeatsInOrder() {
	t.needsQoS(1)
	a := t.joinAs("a", keep)
	a.subscribe(filter(t.topic("a"), 1))
	b := t.joinAs("b")
	payloads := numbered(5)
	for _, payload := range payloads {
		b.publish(t.topic("a"), payload, 1)
	}
	for _, payload := range payloads {
		if m := take[*wire.Publish](a); string(m.Payload) != payload {
			t.fail("%q comes instead of %q", m.Payload, payload)
		}
	}
	a.drop()
	again := t.joinAs("a", keep)
	for _, payload := range payloads {
		again.expect(t.topic("a"), payload)
	}
}
