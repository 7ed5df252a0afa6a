package conformance

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func serverLimitChecks() []serverCheck {
	return []serverCheck{
		of("Maximum QoS and SUBSCRIBE", "", "3.2.2-9 3.2.2-10", "a server with a Maximum QoS grants at most that, and accepts SUBSCRIBE with any", (*trial).maximumQoSSubscribe),
		of("Maximum QoS and PUBLISH", "", "3.2.2-11", "a PUBLISH above the server's Maximum QoS ends the connection", (*trial).maximumQoSPublish),
		of("Maximum QoS and will", "", "3.2.2-12", "a will above the server's Maximum QoS is refused", (*trial).maximumQoSWill),
		of("Retain Available and will", "", "3.2.2-13", "a retained will is refused by a server without retained messages", (*trial).retainedWillRefused),
		of("Retain Available and PUBLISH", "", "3.2.2-14", "a retained PUBLISH ends the connection to a server without retained messages", (*trial).retainedPublishRefused),
		of("Maximum Packet Size", "", "3.2.2-15", "a packet above the server's Maximum Packet Size ends the connection", (*trial).packetTooLarge),
		of("Receive Maximum of the server", "", "3.3.4-7", "more open messages than the server's Receive Maximum end the connection", (*trial).receiveMaximumExceeded),
		of("wildcards not available", "3.8.3-2", "§3.2.2.3.11", "a server without wildcard subscriptions refuses them", (*trial).noWildcards),
		of("subscription identifiers not available", "", "§3.2.2.3.12", "a server without subscription identifiers refuses them", (*trial).noSubscriptionIDs),
		of("shared subscriptions not available", "", "§3.2.2.3.13", "a server without shared subscriptions refuses them", (*trial).noShared),
		of("keep-alive", "3.1.2-24", "3.1.2-22 3.2.2-21 3.2.2-22", "a client that is silent for one and a half keep-alive intervals is disconnected, not much earlier", (*trial).keepAlive),
	}
}

func (t *trial) maximumQoSSubscribe() {
	p := t.joinAs("a")
	most := t.s.highest(t.version, 2)
	if most == 2 {
		t.unobserved("the server takes every QoS")
	}
	for qos := range wire.QoS(3) {
		if code := p.ask(filter(t.topic("a"), qos))[0]; code != wire.ReasonCode(min(qos, most)) {
			t.fail("SUBSCRIBE with QoS %d is answered with %v", qos, code)
		}
	}
}

func (t *trial) maximumQoSPublish() {
	most := t.s.highest(t.version, 2)
	if most == 2 {
		t.unobserved("the server takes every QoS")
	}
	p := t.joinAs("a")
	p.send(&wire.Publish{Topic: t.topic("a"), QoS: most + 1, PacketID: 1})
	p.refused("a PUBLISH above Maximum QoS", wire.QoSNotSupported, wire.ProtocolError)
}

func (t *trial) maximumQoSWill() {
	most := t.s.highest(t.version, 2)
	if most == 2 {
		t.unobserved("the server takes every QoS")
	}
	t.refusedWill(&wire.Will{Topic: t.topic("w"), QoS: most + 1}, wire.QoSNotSupported)
}

func (t *trial) lacksRetain() {
	if available := t.s.offers[t.version].RetainAvailable; available == nil || *available {
		t.unobserved("the server has retained messages")
	}
}

func (t *trial) retainedWillRefused() {
	t.lacksRetain()
	t.refusedWill(&wire.Will{Topic: t.topic("w"), Retain: true}, wire.RetainNotSupported)
}

func (t *trial) refusedWill(will *wire.Will, fitting wire.ReasonCode) {
	c := t.connect(t.id("a"))
	c.Will = will
	p, connack := t.open(c)
	switch {
	case p != nil:
		t.fail("accepts a will that it cannot publish")
	case connack != nil && connack.ReasonCode != fitting:
		t.remark("the reason is %v", connack.ReasonCode)
	}
}

func (t *trial) retainedPublishRefused() {
	t.lacksRetain()
	p := t.joinAs("a")
	p.send(&wire.Publish{Topic: t.topic("a"), Retain: true, Payload: []byte("x")})
	p.refused("a retained PUBLISH", wire.RetainNotSupported, wire.ProtocolError)
}

func (t *trial) packetTooLarge() {
	limit := t.s.offers[t.version].MaximumPacketSize
	if limit == 0 || limit > 1<<20 {
		t.unobserved("the server takes packets of more than 1 MiB")
	}
	p := t.joinAs("a")
	p.send(&wire.Publish{Topic: t.topic("a"), Payload: make([]byte, limit)})
	p.refused("a packet above Maximum Packet Size", wire.PacketTooLarge)
}

func (t *trial) receiveMaximumExceeded() {
	t.needsQoS(2)
	most := int(t.s.offers[t.version].ReceiveMaximum)
	if most == 0 || most > 2000 {
		t.unobserved("the server's Receive Maximum is above 2000")
	}
	p := t.joinAs("a")
	for range most + 1 {
		p.send(&wire.Publish{Topic: t.topic("a"), QoS: 2, PacketID: p.packetID()})
	}
	p.refused("one open message more than Receive Maximum", wire.ReceiveMaximumExceeded)
}

func (t *trial) noWildcards() {
	available := t.s.offers[wire.V5]
	if available == nil || available.WildcardSubscriptionAvailable == nil || *available.WildcardSubscriptionAvailable {
		t.unobserved("the server has wildcard subscriptions")
	}
	t.refusesSubscribe(&wire.Subscribe{Filters: []wire.SubscribeFilter{filter(t.topic("#"), 0)}}, wire.WildcardSubscriptionsNotSupported)
}

func (t *trial) noSubscriptionIDs() {
	if available := t.s.offers[t.version].SubscriptionIDAvailable; available == nil || *available {
		t.unobserved("the server has subscription identifiers")
	}
	t.refusesSubscribe(&wire.Subscribe{SubscriptionID: 1, Filters: []wire.SubscribeFilter{filter(t.topic("a"), 0)}}, wire.SubscriptionIdentifiersNotSupported)
}

func (t *trial) noShared() {
	if available := t.s.offers[t.version].SharedSubscriptionAvailable; available == nil || *available {
		t.unobserved("the server has shared subscriptions")
	}
	t.refusesSubscribe(&wire.Subscribe{Filters: []wire.SubscribeFilter{filter("$share/g/"+t.topic("a"), 0)}}, wire.SharedSubscriptionsNotSupported)
}

// refusesSubscribe demands that SUBSCRIBE fails, with SUBACK or with the end of the connection.
func (t *trial) refusesSubscribe(s *wire.Subscribe, fitting wire.ReasonCode) {
	p := t.joinAs("a")
	s.PacketID = p.packetID()
	p.send(s)
	packet, err := p.read(t.s.Patience)
	switch packet := packet.(type) {
	case *wire.Suback:
		if code := packet.ReasonCodes[0]; !code.Failed() {
			t.fail("grants a subscription that it does not have")
		} else if t.version == wire.V5 && code != fitting {
			t.remark("the reason is %v", code)
		}
	case *wire.Disconnect:
		if packet.ReasonCode != fitting {
			t.remark("the reason is %v", packet.ReasonCode)
		}
	case nil:
		if isTimeout(err) {
			t.fail("does not answer SUBSCRIBE within %v", t.s.Patience)
		}
		t.remark("closes the connection")
	}
}

func (t *trial) keepAlive() {
	p := t.joinAs("a", func(c *wire.Connect) { c.KeepAlive = 2 })
	if k := p.connack.ServerKeepAlive; k != nil && *k > 4 {
		t.unobserved("the server has set the interval to %d s", *k)
	}
	begin := time.Now()
	_, err := p.read(3*time.Second + t.s.Patience)
	for err == nil { // DISCONNECT may come first
		_, err = p.read(t.s.Patience)
	}
	took := time.Since(begin)
	if isTimeout(err) {
		t.fail("a client with a keep-alive of 2 s is still connected after %v of silence", 3*time.Second+t.s.Patience)
	}
	if took < 1900*time.Millisecond {
		t.fail("a client with a keep-alive of 2 s is disconnected before these are over")
	}
}
