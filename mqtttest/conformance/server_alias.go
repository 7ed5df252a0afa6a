package conformance

import (
	"github.com/seed65a45251/mqtt/wire"
)

func serverAliasChecks() []serverCheck {
	return []serverCheck{
		of("aliases are accepted", "", "3.2.2-17 3.3.2-9 3.3.2-12", "the server takes all topic aliases from 1 to its maximum", (*trial).aliasesAccepted),
		of("alias out of range", "", "3.2.2-17 3.2.2-18 3.3.2-9", "an alias of 0 or above the server's maximum ends the connection", (*trial).aliasOutOfRange),
		of("aliases end with their connection", "", "3.3.2-7", "an alias of an earlier connection means nothing on the next", (*trial).aliasEnds),
		of("no aliases unasked", "", "3.1.2-27", "a client that permits no aliases gets none", (*trial).noAliasUnasked),
		of("aliases within the client's maximum", "", "3.1.2-26 3.3.2-11", "aliases that the server sends are between 1 and the client's maximum", (*trial).aliasWithinMaximum),
	}
}

func aliased(topic string, alias uint16, payload string) *wire.Publish {
	return &wire.Publish{Topic: topic, Payload: []byte(payload), Properties: &wire.PublishProperties{TopicAlias: alias}}
}

func (t *trial) aliasesAccepted() {
	t.needsWildcards()
	most := t.s.offers[t.version].TopicAliasMaximum
	if most == 0 {
		t.cannot("the server takes no topic aliases")
	}
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("+"), 0))
	for _, alias := range []uint16{1, most} {
		b.send(aliased(t.topic("a"), alias, "set"), aliased("", alias, "used"), aliased(t.topic("b"), alias, "moved"), aliased("", alias, "moved"))
		a.expect(t.topic("a"), "set")
		a.expect(t.topic("a"), "used")
		a.expect(t.topic("b"), "moved")
		a.expect(t.topic("b"), "moved")
	}
}

func (t *trial) aliasOutOfRange() {
	p := t.joinAs("a")
	p.raw(framed(0x30, text(t.topic("a")), block([]byte{0x23, 0, 0}), []byte("x")))
	p.refused("the topic alias 0", wire.TopicAliasInvalid, wire.ProtocolError, wire.MalformedPacket)
	if most := t.s.offers[t.version].TopicAliasMaximum; most < 65535 {
		p = t.joinAs("b")
		p.send(aliased(t.topic("a"), most+1, "x"))
		p.refused("a topic alias above the maximum", wire.TopicAliasInvalid, wire.ProtocolError)
	}
}

func (t *trial) aliasEnds() {
	if t.s.offers[t.version].TopicAliasMaximum == 0 {
		t.cannot("the server takes no topic aliases")
	}
	p := t.joinAs("a", keep)
	p.send(aliased(t.topic("a"), 1, "x"))
	p.alive()
	p.leave()
	again := t.joinAs("a", keep)
	again.send(aliased("", 1, "x"))
	again.refused("an alias that was set on an earlier connection", wire.ProtocolError, wire.TopicAliasInvalid)
}

// repeated publishes many messages on one topic, so that an alias would pay.
func (t *trial) repeated(p *caller) (aliases []uint16) {
	b := t.joinAs("s")
	topic := t.topic("a/long/topic/that/is/used/again/and/again")
	p.subscribe(filter(topic, 0))
	for range 10 {
		b.publish(topic, "x", 0)
	}
	b.publish(topic, "end", 0)
	for {
		m := take[*wire.Publish](p)
		if m.Properties != nil {
			aliases = append(aliases, m.Properties.TopicAlias)
		}
		if string(m.Payload) == "end" {
			return aliases
		}
	}
}

func (t *trial) noAliasUnasked() {
	for _, alias := range t.repeated(t.joinAs("a")) {
		if alias != 0 {
			t.fail("a message comes with the alias %d", alias)
		}
	}
}

func (t *trial) aliasWithinMaximum() {
	used := false
	for _, alias := range t.repeated(t.joinAs("a", func(c *wire.Connect) { c.TopicAliasMaximum = 2 })) {
		if alias > 2 {
			t.fail("a message comes with the alias %d, the client's maximum is 2", alias)
		}
		used = used || alias > 0
	}
	if !used {
		t.remark("the server sends no aliases")
	}
}
