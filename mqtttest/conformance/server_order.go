package conformance

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

func serverOrderChecks() []serverCheck {
	return []serverCheck{
		of("order of messages", "4.6.0-5 4.6.0-6", "4.6.0-5 4.6.0-6", "messages of one publisher on one topic, of one QoS, come in their order", (*trial).inOrder),
		of("order of kept messages", "4.6.0-6", "4.6.0-6", "messages that waited for an absent client come in their order", (*trial).keptInOrder),
		of("split and joined packets", "§4.2", "4.2.0-1", "packets may arrive byte by byte, or many at once", (*trial).anySplit),
	}
}

func (t *trial) inOrder() {
	payloads := numbered(100)
	for qos := range t.s.highest(t.version, 2) + 1 {
		name := string(rune('0' + qos))
		a, b := t.joinAs("a"+name), t.joinAs("b"+name)
		a.subscribe(filter(t.topic(name), qos))
		for _, payload := range payloads {
			b.publish(t.topic(name), payload, qos)
		}
		b.publish(t.topic(name), "end", qos)
		if got := a.collect("end"); !slices.Equal(got, payloads) {
			t.fail("100 messages of QoS %d come as %d, or in another order", qos, len(got))
		}
	}
}

func (t *trial) keptInOrder() {
	t.needsQoS(1)
	p := t.joinAs("a", keep)
	p.subscribe(filter(t.topic("a"), 1))
	p.leave()
	b := t.joinAs("b")
	payloads := numbered(50)
	for _, payload := range payloads {
		b.publish(t.topic("a"), payload, 1)
	}
	b.publish(t.topic("a"), "end", 1)
	if got := t.joinAs("a", keep).collect("end"); !slices.Equal(got, payloads) {
		t.fail("50 messages come as %d, or in another order", len(got))
	}
}

func (t *trial) anySplit() {
	a := t.joinAs("a")
	a.subscribe(filter(t.topic("a"), 0))
	var stream []byte
	for _, payload := range numbered(3) {
		b, err := (&wire.Publish{Topic: t.topic("a"), Payload: []byte(payload)}).Append(nil, t.version)
		if err != nil {
			t.fail("the script cannot encode its packet: %v", err)
		}
		stream = append(stream, b...)
	}
	p := t.joinAs("b")
	for i := range stream {
		p.raw(stream[i : i+1])
	}
	p.raw(stream)
	for range 2 {
		for _, payload := range numbered(3) {
			a.expect(t.topic("a"), payload)
		}
	}
}
