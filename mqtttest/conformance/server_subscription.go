package conformance

import (
	"slices"
	"sync"

	"github.com/seed65a45251/mqtt/wire"
)

func serverSubscriptionChecks() []serverCheck {
	return []serverCheck{
		of("subscription is replaced", "3.8.4-3", "3.8.4-3", "subscribing to the same filter again replaces the subscription", (*trial).subscriptionReplaced),
		of("replacing loses nothing", "3.8.4-3", "3.8.4-4", "no message is lost while a subscription is replaced", (*trial).replacingLosesNothing),
		of("No Local", "", "3.8.3-3", "with No Local a client does not get its own messages", (*trial).noLocal),
		of("own messages", "§3.8.4", "§3.8.3.1", "without No Local a client gets its own messages", (*trial).ownMessages),
		of("No Local on a shared subscription", "", "3.8.3-4", "No Local on a shared subscription ends the connection", (*trial).noLocalShared),
	}
}

func (t *trial) subscriptionReplaced() {
	a, b := t.joinAs("a"), t.joinAs("b")
	most := t.s.highest(t.version, 2)
	a.subscribe(filter(t.topic("a"), 0))
	granted := a.ask(filter(t.topic("a"), most))[0]
	b.publish(t.topic("a"), "x", most)
	b.publish(t.topic("a"), "end", most)
	copies := 0
	for {
		m := a.message()
		if m.QoS != wire.QoS(granted) {
			t.fail("a message comes with QoS %d, the subscription was replaced by one of QoS %d", m.QoS, granted)
		}
		if string(m.Payload) == "end" {
			break
		}
		copies++
	}
	if copies != 1 {
		t.fail("%d copies come for one subscription", copies)
	}
}

func (t *trial) replacingLosesNothing() {
	t.needsQoS(1)
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 1))
	payloads := numbered(60)
	var publishing sync.WaitGroup
	publishing.Go(func() {
		_, _ = b.t.try(func(*trial) {
			for _, payload := range payloads {
				b.publish(t.topic("a"), payload, 1)
			}
			b.publish(t.topic("a"), "end", 1)
		})
	})
	defer publishing.Wait()
	var got []string
	for {
		m := a.message()
		if string(m.Payload) == "end" {
			break
		}
		if got = append(got, string(m.Payload)); len(got)%10 == 0 {
			a.send(&wire.Subscribe{PacketID: a.packetID(), Filters: []wire.SubscribeFilter{filter(t.topic("a"), 1)}})
		}
	}
	if !slices.Equal(got, payloads) {
		t.fail("%d of %d messages come", len(got), len(payloads))
	}
}

func (t *trial) noLocal() {
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(wire.SubscribeFilter{Filter: t.topic("a"), QoS: 1, NoLocal: true})
	a.publish(t.topic("a"), "own", t.s.highest(t.version, 1))
	b.publish(t.topic("a"), "other", t.s.highest(t.version, 1))
	a.expect(t.topic("a"), "other")
	a.quiet("its subscriber has No Local")
}

func (t *trial) ownMessages() {
	a := t.joinAs("a")
	a.subscribe(filter(t.topic("a"), 0))
	a.publish(t.topic("a"), "own", 0)
	a.expect(t.topic("a"), "own")
}

func (t *trial) noLocalShared() {
	t.needsShared()
	t.badSubscribe("$share/g/"+t.topic("a"), 0x04, "No Local on a shared subscription", wire.ProtocolError)
}
