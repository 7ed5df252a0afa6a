package conformance

import (
	"github.com/seed65a45251/mqtt/wire"
)

func serverSubscribeChecks() []serverCheck {
	return []serverCheck{
		of("SUBACK", "2.3.1-7 3.8.4-1 3.8.4-2", "2.2.1-6 3.8.4-1 3.8.4-2", "SUBSCRIBE is answered with a SUBACK that has its identifier", (*trial).subackEach),
		of("SUBACK codes", "3.8.4-5 3.9.3-1 3.9.3-2", "3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2", "SUBACK has one code for each filter, in their order: the QoS granted, or a failure", (*trial).subackCodes),
		of("many filters in one SUBSCRIBE", "3.8.4-4", "3.8.4-5", "a SUBSCRIBE of several filters has the effect of several SUBSCRIBE packets", (*trial).manyFilters),
		of("reserved bits of SUBSCRIBE", "2.2.2-2 3.8.1-1", "§2.1.3 3.8.1-1", "a SUBSCRIBE with other header bits ends the connection", (*trial).subscribeBits),
		of("filter that is no UTF-8", "1.5.3-1 3.8.3-1", "1.5.4-1 3.8.3-1", "a SUBSCRIBE whose filter is no UTF-8 ends the connection", func(t *trial) { t.badSubscribe(badUTF8, 0, "a filter that is no UTF-8", wire.MalformedPacket) }),
		of("filter with U+0000", "4.7.3-2", "4.7.3-2", "a SUBSCRIBE whose filter has U+0000 ends the connection or is refused", func(t *trial) { t.refusedFilter("a\x00b") }),
		of("SUBSCRIBE without filter", "3.8.3-3", "3.8.3-2", "a SUBSCRIBE without a filter ends the connection", (*trial).subscribeNothing),
		of("reserved options of SUBSCRIBE", "3.8.3-4", "3.8.3-5", "a SUBSCRIBE with reserved option bits ends the connection", (*trial).reservedOptions),
		of("QoS 3 in SUBSCRIBE", "3.8.3-4", "§3.8.3.1", "a SUBSCRIBE with QoS 3 ends the connection", func(t *trial) {
			t.badSubscribe(t.topic("a"), 3, "the QoS 3", wire.ProtocolError, wire.MalformedPacket)
		}),
		of("Retain Handling 3", "", "§3.8.3.1", "a SUBSCRIBE with Retain Handling 3 ends the connection", func(t *trial) {
			t.badSubscribe(t.topic("a"), 0x30, "the Retain Handling 3", wire.ProtocolError, wire.MalformedPacket)
		}),
		of("identifier 0 of SUBSCRIBE", "2.3.1-1", "2.2.1-3", "a SUBSCRIBE with the packet identifier 0 breaks the rules and ends the connection", (*trial).subscribeZero),
		of("subscription identifier 0", "", "§3.8.2.1.2", "a SUBSCRIBE with the subscription identifier 0 ends the connection", (*trial).subscriptionIDZero),
	}
}

func (t *trial) subackEach() {
	p := t.joinAs("a")
	for _, id := range []uint16{1, 700, 65535} {
		p.nextID = id - 1
		p.subscribe(filter(t.topic("a"), 0))
	}
}

func (t *trial) subackCodes() {
	p := t.joinAs("a")
	codes := p.ask(filter(t.topic("a"), 0), filter(t.topic("b"), 1), filter(t.topic("c"), 2))
	for i, code := range codes {
		if code.Failed() {
			t.fail("a filter is refused with %v", code)
		}
		if code > wire.ReasonCode(i) {
			t.fail("QoS %d is granted where QoS %d was asked for", code, i)
		}
		if code < wire.ReasonCode(t.s.highest(t.version, wire.QoS(i))) {
			t.remark("QoS %d is granted as QoS %d, which the texts permit", i, code)
		}
	}
}

func (t *trial) manyFilters() {
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 0), filter(t.topic("b"), 0), filter(t.topic("c"), 0))
	for _, name := range []string{"a", "b", "c"} {
		b.publish(t.topic(name), "x", 0)
		a.expect(t.topic(name), "x")
	}
}

func (t *trial) subscribeBits() {
	p := t.joinAs("a")
	p.raw(framed(0x80, uint16s(1), t.properties(), text(t.topic("a")), []byte{0}))
	p.refused("a SUBSCRIBE with the header bits 0000", wire.MalformedPacket, wire.ProtocolError)
}

// badSubscribe sends a SUBSCRIBE with one filter and this option byte, which has to end the connection.
func (t *trial) badSubscribe(filter string, options byte, what string, fitting ...wire.ReasonCode) {
	p := t.joinAs("a")
	p.raw(framed(0x82, uint16s(1), t.properties(), text(filter), []byte{options}))
	p.refused("a SUBSCRIBE with "+what, fitting...)
}

func (t *trial) subscribeNothing() {
	p := t.joinAs("a")
	p.raw(framed(0x82, uint16s(1), t.properties()))
	p.refused("a SUBSCRIBE without a filter", wire.ProtocolError, wire.MalformedPacket)
}

func (t *trial) reservedOptions() {
	bits := []byte{0x40, 0x80}
	if t.version != wire.V5 {
		bits = []byte{0x04, 0x08, 0x10, 0x80}
	}
	for _, bit := range bits {
		t.badSubscribe(t.topic("a"), bit, "reserved option bits", wire.MalformedPacket, wire.ProtocolError)
	}
}

func (t *trial) subscribeZero() {
	p := t.joinAs("a")
	p.raw(framed(0x82, uint16s(0), t.properties(), text(t.topic("a")), []byte{0}))
	p.refused("a SUBSCRIBE with the identifier 0", wire.ProtocolError, wire.MalformedPacket)
}

func (t *trial) subscriptionIDZero() {
	p := t.joinAs("a")
	p.raw(framed(0x82, uint16s(1), block([]byte{0x0B, 0}), text(t.topic("a")), []byte{0}))
	p.refused("the subscription identifier 0", wire.ProtocolError, wire.MalformedPacket)
}

// refusedFilter demands that a filter is refused, with SUBACK or with the end of the connection.
func (t *trial) refusedFilter(filter string) {
	p := t.joinAs("a")
	p.raw(framed(0x82, uint16s(1), t.properties(), text(filter), []byte{0}))
	packet, err := p.read(t.s.Patience)
	switch packet := packet.(type) {
	case *wire.Suback:
		if !packet.ReasonCodes[0].Failed() {
			t.fail("grants the filter %q", filter)
		}
		t.remark("answers with a failure in SUBACK")
	case nil:
		if isTimeout(err) {
			t.fail("does not answer a SUBSCRIBE to %q within %v", filter, t.s.Patience)
		}
	}
}
