package conformance

import (
	"github.com/seed65a45251/mqtt/wire"
)

// The server as the receiver of QoS 1 and 2.
func serverReceiveChecks() []serverCheck {
	return []serverCheck{
		of("PUBACK", "4.3.2-2", "4.3.2-4", "each PUBLISH of QoS 1 is answered with a PUBACK that has its identifier", (*trial).pubackEach),
		of("identifier after PUBACK", "4.3.2-2", "4.3.2-5", "after PUBACK the same identifier is a new message, whatever DUP says", (*trial).newAfterPuback),
		of("PUBREC", "4.3.3-2", "4.3.3-8", "each PUBLISH of QoS 2 is answered with a PUBREC that has its identifier", (*trial).pubrecEach),
		of("once until PUBREL", "4.3.3-2", "4.3.3-10", "until PUBREL, a repeated PUBLISH of QoS 2 is answered with PUBREC and not delivered again", (*trial).onceUntilPubrel),
		of("once over a connection", "4.3.3-2", "4.3.3-10", "a PUBLISH of QoS 2 that is repeated on the next connection of the session is not delivered again", (*trial).onceOverConnections),
		of("PUBCOMP", "4.3.3-2", "4.3.3-11", "each PUBREL is answered with PUBCOMP, also a repeated one", (*trial).pubcompEach),
		of("identifier after PUBCOMP", "4.3.3-2", "4.3.3-12", "after PUBCOMP the same identifier is a new message", (*trial).newAfterPubcomp),
		of("expiry and acknowledgements", "", "4.3.3-13", "acknowledgements go on for a message that has expired", (*trial).acknowledgesExpired),
		of("PUBREL without message", "4.3.3-2", "§3.6.2.1", "a PUBREL for an unknown identifier is answered with PUBCOMP", (*trial).unknownPubrel),
		of("identifiers of both sides", "2.3.1-4", "§2.2.1", "client and server use identifiers independently of each other", (*trial).identifiersApart),
		of("identifiers of answers", "2.3.1-6", "2.2.1-5", "PUBACK, PUBREC and PUBCOMP have the identifier of the PUBLISH, from 1 to 65535", (*trial).identifiersOfAnswers),
	}
}

func (t *trial) pubackEach() {
	t.needsQoS(1)
	p := t.joinAs("a")
	for _, id := range []uint16{9, 3, 7} {
		p.send(&wire.Publish{Topic: t.topic("a"), QoS: 1, PacketID: id})
	}
	// On 5.0 and 3.1.1 the answers come in the order of the messages. [MQTT-4.6.0-2]
	for _, id := range []uint16{9, 3, 7} {
		p.same("PUBACK", take[*wire.Puback](p).PacketID, id)
	}
}

func (t *trial) newAfterPuback() {
	t.needsQoS(1)
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 1))
	b.send(&wire.Publish{Topic: t.topic("a"), QoS: 1, PacketID: 5, Payload: []byte("1")})
	take[*wire.Puback](b)
	b.send(&wire.Publish{Topic: t.topic("a"), QoS: 1, PacketID: 5, Duplicate: true, Payload: []byte("2")})
	take[*wire.Puback](b)
	a.expect(t.topic("a"), "1")
	a.expect(t.topic("a"), "2")
}

func (t *trial) pubrecEach() {
	t.needsQoS(2)
	p := t.joinAs("a")
	for _, id := range []uint16{9, 3, 7} {
		p.send(&wire.Publish{Topic: t.topic("a"), QoS: 2, PacketID: id})
	}
	for _, id := range []uint16{9, 3, 7} {
		p.pubrec(id)
	}
}

// open2 sends a QoS 2 message and waits for PUBREC.
func (p *caller) open2(topic, payload string, id uint16, duplicate bool) {
	p.send(&wire.Publish{Topic: topic, QoS: 2, PacketID: id, Duplicate: duplicate, Payload: []byte(payload)})
	switch code := p.pubrec(id).ReasonCode; {
	case duplicate && code == wire.PacketIdentifierInUse:
		p.t.depart("answers a repeated PUBLISH with PUBREC and %v", code)
	case code.Failed():
		p.t.fail("a PUBLISH of QoS 2 is refused with %v", code)
	}
}

// close2 ends the exchange of a QoS 2 message.
func (p *caller) close2(id uint16) {
	p.send(&wire.Pubrel{PacketID: id})
	p.pubcomp(id)
}

func (t *trial) onceUntilPubrel() {
	t.needsQoS(2)
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 2))
	b.open2(t.topic("a"), "x", 7, false)
	b.open2(t.topic("a"), "x", 7, true)
	b.open2(t.topic("a"), "x", 7, true)
	b.close2(7)
	a.expect(t.topic("a"), "x")
	b.publish(t.topic("a"), "end", 2)
	a.expect(t.topic("a"), "end")
}

func (t *trial) onceOverConnections() {
	t.needsQoS(2)
	a := t.joinAs("a")
	a.subscribe(filter(t.topic("a"), 2))
	b := t.joinAs("b", keep)
	b.open2(t.topic("a"), "x", 7, false)
	b.drop()
	b = t.joinAs("b", keep)
	b.open2(t.topic("a"), "x", 7, true)
	b.close2(7)
	a.expect(t.topic("a"), "x")
	b.alive()
	b.inbox = nil // the server may have repeated PUBREC by itself
	b.nextID = 10
	b.publish(t.topic("a"), "end", 2)
	a.expect(t.topic("a"), "end")
}

func (t *trial) pubcompEach() {
	t.needsQoS(2)
	p := t.joinAs("a")
	p.open2(t.topic("a"), "x", 7, false)
	p.close2(7)
	p.close2(7)
}

func (t *trial) newAfterPubcomp() {
	t.needsQoS(2)
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 2))
	for range 2 {
		b.open2(t.topic("a"), "x", 7, false)
		b.close2(7)
		a.expect(t.topic("a"), "x")
	}
}

func (t *trial) acknowledgesExpired() {
	t.needsQoS(2)
	p := t.joinAs("a")
	p.send(&wire.Publish{Topic: t.topic("a"), QoS: 2, PacketID: 7, Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32)}})
	p.pubrec(7)
	p.close2(7)
}

func (t *trial) unknownPubrel() {
	p := t.joinAs("a")
	p.send(&wire.Pubrel{PacketID: 4711})
	if code := p.pubcomp(4711).ReasonCode; t.version == wire.V5 && code != wire.PacketIdentifierNotFound {
		t.remark("PUBCOMP has the code %v", code)
	}
}

func (t *trial) identifiersApart() {
	t.needsQoS(1)
	p, other := t.joinAs("a"), t.joinAs("b")
	most := t.s.highest(t.version, 2)
	p.subscribe(filter(t.topic("a"), most))
	other.publish(t.topic("a"), "x", most)
	m := take[*wire.Publish](p)
	// The client's own exchange under the same identifier, in the middle of the server's.
	p.nextID = m.PacketID - 1
	p.publish(t.topic("b"), "y", most)
	p.acknowledge(m)
	p.alive()
}

func (t *trial) identifiersOfAnswers() {
	t.needsQoS(1)
	p := t.joinAs("a")
	for _, id := range []uint16{1, 700, 65535} {
		for qos := wire.QoS(1); qos <= t.s.highest(t.version, 2); qos++ {
			p.nextID = id - 1
			p.publish(t.topic("a"), "x", qos)
		}
	}
}
