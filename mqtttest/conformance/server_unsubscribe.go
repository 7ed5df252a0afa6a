package conformance

import (
	"github.com/seed65a45251/mqtt/wire"
)

func serverUnsubscribeChecks() []serverCheck {
	return []serverCheck{
		of("UNSUBACK", "2.3.1-7 3.10.4-4 3.10.4-5 3.10.4-6", "2.2.1-6 3.10.4-4 3.10.4-5 3.10.4-6", "UNSUBSCRIBE is answered with one UNSUBACK that has its identifier, even if nothing matched", (*trial).unsubackEach),
		of("UNSUBACK codes", "", "3.11.3-1 3.11.3-2", "UNSUBACK has one code for each filter, in their order", (*trial).unsubackCodes),
		of("UNSUBSCRIBE compares", "3.10.4-1", "3.10.4-1", "UNSUBSCRIBE removes only the subscription whose filter is the same", (*trial).unsubscribeExact),
		of("UNSUBSCRIBE ends", "3.10.4-2", "3.10.4-2", "after UNSUBACK no new messages come for the subscription", (*trial).unsubscribeStops),
		of("UNSUBSCRIBE and open messages", "3.10.4-3", "3.10.4-3", "exchanges that have begun go on after UNSUBSCRIBE", (*trial).unsubscribeFinishes),
		of("reserved bits of UNSUBSCRIBE", "2.2.2-2 3.10.1-1", "§2.1.3 3.10.1-1", "an UNSUBSCRIBE with other header bits ends the connection", (*trial).unsubscribeBits),
		of("UNSUBSCRIBE without filter", "3.10.3-2", "3.10.3-2", "an UNSUBSCRIBE without a filter ends the connection", (*trial).unsubscribeNothing),
		of("UNSUBSCRIBE that is no UTF-8", "3.10.3-1", "3.10.3-1", "an UNSUBSCRIBE whose filter is no UTF-8 ends the connection", (*trial).unsubscribeUTF8),
	}
}

func (t *trial) unsubackEach() {
	p := t.joinAs("a")
	p.unsubscribe(t.topic("never"), t.topic("subscribed"))
	p.subscribe(filter(t.topic("a"), 0), filter(t.topic("b"), 0))
	p.unsubscribe(t.topic("a"), t.topic("b"))
	p.alive()
	if len(p.inbox) > 0 {
		t.fail("a second answer to UNSUBSCRIBE comes: %v", p.inbox[0].Type())
	}
}

func (t *trial) unsubackCodes() {
	p := t.joinAs("a")
	p.subscribe(filter(t.topic("a"), 0))
	codes := p.unsubscribe(t.topic("none"), t.topic("a"), t.topic("a")).ReasonCodes
	want := []wire.ReasonCode{wire.NoSubscriptionExisted, wire.Success, wire.NoSubscriptionExisted}
	if len(codes) != len(want) {
		t.fail("UNSUBACK has %d codes for %d filters", len(codes), len(want))
	}
	for i, code := range codes {
		if code.Failed() || i == 1 && code != want[i] {
			t.fail("the codes are %v", codes)
		}
		if code != want[i] {
			t.remark("a filter without subscription gets the code %v", code)
		}
	}
}

func (t *trial) unsubscribeExact() {
	t.needsWildcards()
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a/+"), 0))
	a.unsubscribe(t.topic("a/b"), t.topic("a/#"), t.topic("A/+"))
	b.publish(t.topic("a/b"), "x", 0)
	a.expect(t.topic("a/b"), "x")
}

func (t *trial) unsubscribeStops() {
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 0))
	b.publish(t.topic("a"), "x", 0)
	a.expect(t.topic("a"), "x")
	a.unsubscribe(t.topic("a"))
	b.publish(t.topic("a"), "late", t.s.highest(t.version, 1))
	a.quiet("the client has unsubscribed")
}

func (t *trial) unsubscribeFinishes() {
	a := t.joinAs("a")
	m := t.sent2(a)
	a.unsubscribe(t.topic("a"))
	a.acknowledge(m)
	a.alive()
}

func (t *trial) unsubscribeBits() {
	p := t.joinAs("a")
	p.raw(framed(0xA0, uint16s(1), t.properties(), text(t.topic("a"))))
	p.refused("an UNSUBSCRIBE with the header bits 0000", wire.MalformedPacket, wire.ProtocolError)
}

func (t *trial) unsubscribeNothing() {
	p := t.joinAs("a")
	p.raw(framed(0xA2, uint16s(1), t.properties()))
	p.refused("an UNSUBSCRIBE without a filter", wire.ProtocolError, wire.MalformedPacket)
}

func (t *trial) unsubscribeUTF8() {
	p := t.joinAs("a")
	p.raw(framed(0xA2, uint16s(1), t.properties(), text(badUTF8)))
	p.refused("an UNSUBSCRIBE whose filter is no UTF-8", wire.MalformedPacket, wire.ProtocolError)
}
