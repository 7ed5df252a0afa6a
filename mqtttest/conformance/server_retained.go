package conformance

import (
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func serverRetainedChecks() []serverCheck {
	return []serverCheck{
		of("retained message", "3.3.1-5 3.3.1-8", "3.3.1-5", "a retained message is kept, and later subscribers get it with RETAIN", (*trial).retainedKept),
		of("retained message is replaced", "3.3.1-5 3.3.1-7", "3.3.1-5", "a new retained message of any QoS replaces the old one", (*trial).retainedReplaced),
		of("retained message is removed", "3.3.1-10 3.3.1-11", "3.3.1-6 3.3.1-7", "an empty retained message is delivered, removes the old one, and is not kept", (*trial).retainedRemoved),
		of("message without RETAIN", "3.3.1-12", "3.3.1-8", "a message without RETAIN leaves the retained one alone", (*trial).retainedLeftAlone),
		of("all retained messages", "3.3.1-6", "3.3.1-9", "a new subscription gets every retained message that it matches", (*trial).retainedAll),
		of("retained message again", "3.8.4-3", "3.3.1-9 3.8.4-4", "subscribing again brings the retained messages again", (*trial).retainedAgain),
		of("Retain Handling 1", "", "3.3.1-10", "with Retain Handling 1 only a subscription that is new gets retained messages", (*trial).retainHandling1),
		of("Retain Handling 2", "", "3.3.1-11", "with Retain Handling 2 a subscription gets no retained messages", (*trial).retainHandling2),
		of("RETAIN of live messages", "3.3.1-9", "3.3.1-12", "a message that is passed on at once comes without RETAIN", (*trial).retainCleared),
		of("Retain As Published", "", "3.3.1-13", "with Retain As Published, RETAIN comes as it was sent", (*trial).retainAsPublished),
		of("retained messages expire", "", "§3.3.1.3", "a retained message that has expired is not sent", (*trial).retainedExpires),
		of("retained messages and sessions", "3.1.2-7", "§4.1", "a retained message outlives the session of its publisher", (*trial).retainedOutlives),
	}
}

// fresh subscribes with a new client.
func (t *trial) fresh(suffix string, f wire.SubscribeFilter) *caller {
	p := t.joinAs(suffix)
	p.subscribe(f)
	return p
}

func (t *trial) retainedKept() {
	t.needsRetain()
	b := t.joinAs("b")
	most := t.s.highest(t.version, 2)
	for qos := wire.QoS(0); qos <= most; qos++ {
		topic := t.topic(string(rune('0' + qos)))
		b.retain(topic, "x", qos)
		m := t.fresh("s"+string(rune('0'+qos)), filter(topic, most)).expect(topic, "x")
		if !m.Retain {
			t.fail("a retained message of QoS %d comes without RETAIN to a new subscription", qos)
		}
		if m.QoS != qos {
			t.remark("a retained message of QoS %d comes with QoS %d", qos, m.QoS)
		}
	}
}

func (t *trial) retainedReplaced() {
	t.needsRetain()
	b := t.joinAs("b")
	b.retain(t.topic("a"), "1", t.s.highest(t.version, 1))
	b.retain(t.topic("a"), "2", t.s.highest(t.version, 2))
	b.retain(t.topic("a"), "3", 0)
	b.alive()
	p := t.fresh("a", filter(t.topic("a"), 1))
	p.send(&wire.Pingreq{})
	take[*wire.Pingresp](p)
	b.publish(t.topic("a"), "end", 1)
	switch got := p.collect("end"); {
	case len(got) == 0:
		t.remark("a retained message of QoS 0 is not kept, which the texts permit")
	case len(got) > 1 || got[0] != "3":
		t.fail("the retained messages %q come, of which the last has replaced the others", got)
	}
}

func (t *trial) retainedRemoved() {
	t.needsRetain()
	live, b := t.fresh("l", filter(t.topic("a"), 0)), t.joinAs("b")
	b.retain(t.topic("a"), "x", t.s.highest(t.version, 1))
	live.expect(t.topic("a"), "x")
	b.retain(t.topic("a"), "", t.s.highest(t.version, 1))
	live.expect(t.topic("a"), "")
	t.fresh("a", filter(t.topic("a"), 0)).quiet("the retained message was removed")
}

func (t *trial) retainedLeftAlone() {
	t.needsRetain()
	b := t.joinAs("b")
	b.retain(t.topic("a"), "kept", t.s.highest(t.version, 1))
	b.publish(t.topic("a"), "passing", t.s.highest(t.version, 1))
	b.publish(t.topic("a"), "", t.s.highest(t.version, 1))
	t.fresh("a", filter(t.topic("a"), 0)).expect(t.topic("a"), "kept")
}

func (t *trial) retainedAll() {
	t.needsRetain()
	t.needsWildcards()
	b := t.joinAs("b")
	missing := map[string]bool{}
	for _, name := range []string{"a/1", "a/2", "a/b/3", "a"} {
		b.retain(t.topic(name), name, t.s.highest(t.version, 1))
		missing[t.topic(name)] = true
	}
	b.retain(t.topic("b"), "b", t.s.highest(t.version, 1))
	p := t.fresh("a", filter(t.topic("a/#"), 1))
	for len(missing) > 0 {
		t.step = fmt.Sprintf("%d of 4 retained messages for a filter with #", 4-len(missing))
		m := p.message()
		if !missing[m.Topic] {
			t.fail("a retained message on %q comes twice or unasked", t.short(m.Topic))
		}
		delete(missing, m.Topic)
	}
	t.step = ""
	p.quiet("all retained messages have come")
}

func (t *trial) retainedAgain() {
	t.needsRetain()
	t.joinAs("b").retain(t.topic("a"), "x", t.s.highest(t.version, 1))
	p := t.fresh("a", filter(t.topic("a"), 0))
	p.expect(t.topic("a"), "x")
	p.subscribe(filter(t.topic("a"), 0))
	p.expect(t.topic("a"), "x")
}

func (t *trial) retainHandling1() {
	t.needsRetain()
	t.joinAs("b").retain(t.topic("a"), "x", t.s.highest(t.version, 1))
	f := wire.SubscribeFilter{Filter: t.topic("a"), RetainHandling: wire.SendRetainedIfNew}
	p := t.fresh("a", f)
	p.expect(t.topic("a"), "x")
	p.subscribe(f)
	p.quiet("the subscription existed, and has Retain Handling 1")
}

func (t *trial) retainHandling2() {
	t.needsRetain()
	t.joinAs("b").retain(t.topic("a"), "x", t.s.highest(t.version, 1))
	t.fresh("a", wire.SubscribeFilter{Filter: t.topic("a"), RetainHandling: wire.DontSendRetained}).quiet("the subscription has Retain Handling 2")
}

func (t *trial) retainCleared() {
	t.needsRetain()
	p := t.fresh("a", filter(t.topic("a"), 1))
	t.joinAs("b").retain(t.topic("a"), "x", t.s.highest(t.version, 1))
	if p.expect(t.topic("a"), "x").Retain {
		t.fail("a message that is passed on at once comes with RETAIN")
	}
}

func (t *trial) retainAsPublished() {
	t.needsRetain()
	p := t.fresh("a", wire.SubscribeFilter{Filter: t.topic("a"), QoS: 1, RetainAsPublished: true})
	b := t.joinAs("b")
	b.retain(t.topic("a"), "x", t.s.highest(t.version, 1))
	if !p.expect(t.topic("a"), "x").Retain {
		t.fail("RETAIN is lost")
	}
	b.publish(t.topic("a"), "y", t.s.highest(t.version, 1))
	if p.expect(t.topic("a"), "y").Retain {
		t.fail("RETAIN is set on a message without")
	}
}

func (t *trial) retainedExpires() {
	t.needsRetain()
	t.retained = append(t.retained, t.topic("a"))
	t.joinAs("b").publishWith(&wire.Publish{
		Topic: t.topic("a"), Retain: true, QoS: t.s.highest(t.version, 1), Payload: []byte("x"),
		Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32(1))},
	})
	t.wait(3500 * time.Millisecond)
	t.fresh("a", filter(t.topic("a"), 0)).quiet("the retained message has expired")
}

func (t *trial) retainedOutlives() {
	t.needsRetain()
	b := t.joinAs("b")
	b.retain(t.topic("a"), "x", t.s.highest(t.version, 1))
	b.leave()
	t.joinAs("b").leave() // its session is gone for certain
	t.fresh("a", filter(t.topic("a"), 0)).expect(t.topic("a"), "x")
}
