package conformance

import (
	"fmt"

	"github.com/seed65a45251/mqtt/wire"
)

func serverFlowChecks() []serverCheck {
	return []serverCheck{
		of("Receive Maximum of the client", "", "3.3.4-9 4.9.0-1 4.9.0-2", "no more messages are open than the client's Receive Maximum", (*trial).receiveMaximumKept),
		of("Receive Maximum holds up nothing else", "", "3.3.4-10 4.9.0-3", "a client whose Receive Maximum is used up gets all packets but PUBLISH", (*trial).receiveMaximumOnly),
		of("Receive Maximum and QoS 2", "", "4.9.0-2", "at QoS 2 a message counts until PUBCOMP, or until a PUBREC that refuses", (*trial).receiveMaximumQoS2),
	}
}

func quota(n uint16) func(*wire.Connect) { return func(c *wire.Connect) { c.ReceiveMaximum = n } }

func (t *trial) receiveMaximumKept() {
	t.needsQoS(1)
	a, b := t.joinAs("a", quota(2)), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 1))
	for _, payload := range numbered(5) {
		b.publish(t.topic("a"), payload, 1)
	}
	open := []*wire.Publish{take[*wire.Publish](a), take[*wire.Publish](a)}
	a.silent("two messages are open and the client's Receive Maximum is 2")
	a.acknowledge(open[0])
	third := take[*wire.Publish](a)
	a.silent("two messages are open and the client's Receive Maximum is 2")
	a.acknowledge(open[1])
	a.acknowledge(third)
	a.expect(t.topic("a"), "m003")
	a.expect(t.topic("a"), "m004")
}

func (t *trial) receiveMaximumOnly() {
	t.needsQoS(1)
	a, b := t.joinAs("a", quota(1)), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 1))
	b.publish(t.topic("a"), "1", 1)
	m := take[*wire.Publish](a)
	b.publish(t.topic("a"), "2", 1)
	a.alive()
	a.subscribe(filter(t.topic("b"), 1))
	a.unsubscribe(t.topic("b"))
	a.publish(t.topic("c"), "own", 1)
	a.silent("the client's Receive Maximum is used up")
	a.acknowledge(m)
	a.expect(t.topic("a"), "2")
}

func (t *trial) receiveMaximumQoS2() {
	a := t.joinAs("a", quota(1))
	m := t.sent2(a)
	b := t.joinAs("c")
	for i := range 3 {
		b.publish(t.topic("a"), fmt.Sprint(i), 2)
	}
	a.send(&wire.Pubrec{PacketID: m.PacketID})
	take[*wire.Pubrel](a)
	a.silent("PUBCOMP has not come and the client's Receive Maximum is 1")
	a.send(&wire.Pubcomp{PacketID: m.PacketID})
	refused := take[*wire.Publish](a)
	a.send(&wire.Pubrec{PacketID: refused.PacketID, ReasonCode: wire.QuotaExceeded})
	a.expect(t.topic("a"), "1")
	a.expect(t.topic("a"), "2")
}
