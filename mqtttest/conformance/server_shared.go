package conformance

import (
	"fmt"

	"github.com/seed65a45251/mqtt/wire"
)

func serverSharedChecks() []serverCheck {
	return []serverCheck{
		of("one member for each message", "", "§4.8.2", "a message goes to one member of a shared subscription", (*trial).sharedOnce),
		of("QoS of a member", "", "4.8.2-3", "a member gets messages with the QoS that it was granted", (*trial).sharedQoS),
		of("member that comes back", "", "4.8.2-4", "a QoS 2 message that was begun with a member goes on with it when it comes back", (*trial).sharedSameMember),
		of("member whose session ends", "", "4.8.2-5", "a QoS 2 message that was begun with a member goes to no other when its session ends", (*trial).sharedSessionEnds),
		of("member that refuses", "", "4.8.2-6", "a message that a member refuses goes to no other", (*trial).sharedRefused),
		of("shared subscription and retained messages", "", "§4.8.2", "a shared subscription gets no retained messages when it begins", (*trial).sharedRetained),
		of("shared subscription beside a plain one", "", "§4.8.2", "a client with a shared and a plain subscription gets a message for each", (*trial).sharedBeside),
	}
}

func (t *trial) member(name string, qos wire.QoS, edits ...func(*wire.Connect)) *caller {
	t.needsShared()
	p := t.joinAs(name, edits...)
	p.subscribe(filter("$share/"+t.prefix+"/"+t.topic("a"), qos))
	return p
}

func (t *trial) sharedOnce() {
	t.needsQoS(1)
	const members, messages = 3, 60
	var all []*caller
	for i := range members {
		all = append(all, t.member(fmt.Sprint("m", i), 1))
	}
	watch := t.fresh("w", filter(t.topic("a"), 1))
	b := t.joinAs("b")
	for _, payload := range numbered(messages) {
		b.publish(t.topic("a"), payload, 1)
	}
	for range messages {
		watch.message()
	}
	seen := map[string]bool{}
	for _, p := range all {
		p.alive()
		for len(p.inbox) > 0 {
			m, ok := p.inbox[0].(*wire.Publish)
			if !ok {
				break
			}
			p.message()
			if seen[string(m.Payload)] {
				t.fail("the message %q goes to two members", m.Payload)
			}
			seen[string(m.Payload)] = true
			if len(p.inbox) == 0 {
				p.alive()
			}
		}
	}
	t.restOfShared(all, seen, messages)
}

// restOfShared waits for messages that have not come yet, at the members in turn.
func (t *trial) restOfShared(all []*caller, seen map[string]bool, messages int) {
	for idle := 0; len(seen) < messages; {
		for _, p := range all {
			packet, err := p.read(lull)
			if err != nil {
				idle++
				continue
			}
			m, ok := packet.(*wire.Publish)
			if !ok {
				continue
			}
			idle = 0
			p.acknowledge(m)
			if seen[string(m.Payload)] {
				t.fail("the message %q goes to two members", m.Payload)
			}
			seen[string(m.Payload)] = true
		}
		if idle > int(t.s.Patience/lull) {
			t.fail("%d of %d messages go to a member", len(seen), messages)
		}
	}
}

func (t *trial) sharedQoS() {
	t.needsQoS(2)
	low, high := t.member("l", 0), t.member("h", 2)
	b := t.joinAs("b")
	for range 20 {
		b.publish(t.topic("a"), "x", 2)
	}
	for _, p := range []*caller{low, high} {
		p.alive()
		for _, packet := range p.inbox {
			m, ok := packet.(*wire.Publish)
			if ok && p == low && m.QoS != 0 {
				t.fail("a member that was granted QoS 0 gets a message of QoS %d", m.QoS)
			}
			if ok && p == high && m.QoS != 2 {
				t.fail("a member that was granted QoS 2 gets a message of QoS %d", m.QoS)
			}
		}
	}
}

// begun lets the server begin a QoS 2 message with the first member, then a second joins.
func (t *trial) begun() (first, second *caller, m *wire.Publish) {
	t.needsQoS(2)
	first = t.member("1", 2, keep)
	t.joinAs("b").publish(t.topic("a"), "x", 2)
	m = take[*wire.Publish](first)
	second = t.member("2", 2)
	return first, second, m
}

func (t *trial) sharedSameMember() {
	first, second, m := t.begun()
	first.drop()
	again := t.joinAs("1", keep)
	again.wantPresent(true, "after the connection was cut")
	if got := again.expect(t.topic("a"), "x"); got.PacketID != m.PacketID {
		t.fail("the message comes under the identifier %d, not %d", got.PacketID, m.PacketID)
	}
	second.quiet("it was begun with another member")
}

func (t *trial) sharedSessionEnds() {
	first, second, m := t.begun()
	first.send(&wire.Pubrec{PacketID: m.PacketID})
	take[*wire.Pubrel](first)
	first.drop()
	t.joinAs("1").alive() // with Clean Start, which ends the session
	second.quiet("it was begun with another member")
}

func (t *trial) sharedRefused() {
	first, second, m := t.begun()
	first.send(&wire.Pubrec{PacketID: m.PacketID, ReasonCode: wire.NotAuthorized})
	first.alive()
	second.quiet("another member has refused it")
}

func (t *trial) sharedRetained() {
	t.needsRetain()
	t.needsShared()
	t.joinAs("b").retain(t.topic("a"), "x", t.s.highest(t.version, 1))
	t.member("m", 0).quiet("the subscription is shared")
}

func (t *trial) sharedBeside() {
	p := t.member("m", 0)
	p.subscribe(filter(t.topic("a"), 0))
	t.joinAs("b").publish(t.topic("a"), "x", 0)
	p.expect(t.topic("a"), "x")
	p.expect(t.topic("a"), "x")
}
