package conformance

import (
	"fmt"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

func serverPublishChecks() []serverCheck {
	return []serverCheck{
		of("answers to PUBLISH", "3.3.4-1", "3.3.4-1 4.3.1-1", "PUBLISH of QoS 0 has no answer, of QoS 1 PUBACK, of QoS 2 PUBREC", (*trial).answers),
		of("QoS 3", "3.3.1-4", "3.3.1-4", "a PUBLISH of QoS 3 ends the connection", (*trial).qos3),
		of("DUP at QoS 0", "3.3.1-2", "3.3.1-2", "a PUBLISH of QoS 0 with DUP breaks the rules", (*trial).dupAtQoS0),
		of("DUP is not passed on", "3.3.1-1 3.3.1-3", "3.3.1-1 3.3.1-3", "DUP of a publisher is not passed on to subscribers", (*trial).dupIsNotPassedOn),
		of("topic with wildcards", "3.3.2-2 4.7.1-1", "3.3.2-2 4.7.0-1", "a PUBLISH whose topic has wildcards ends the connection or is refused", (*trial).wildcardTopic),
		of("topics match", "3.3.2-3", "3.3.2-3", "the topic of a message matches a filter of the subscriber", (*trial).topicsMatch),
		of("matching", "§4.7", "§4.7", "filters match what the texts' examples say", (*trial).matching),
		of("topics keep their bytes", "1.5.3-3 4.7.3-4", "1.5.4-3 4.7.3-4", "topics are compared and passed on without change, U+FEFF and the two spellings of é included", (*trial).topicsKeepBytes),
		of("topics that begin with $", "4.7.2-1", "4.7.2-1", "filters that begin with a wildcard do not match topics that begin with $", (*trial).dollar),
		of("overlapping subscriptions", "3.3.5-1", "3.3.4-2", "a message that matches several subscriptions of a client comes with the highest of their QoS", (*trial).overlap),
		of("QoS of messages", "3.8.4-6", "3.8.4-8", "a message comes with the lower of its QoS and the one granted", (*trial).lowerQoS),
		of("all matching subscribers", "4.5.0-1", "4.5.0-1", "a message goes to every client with a matching subscription", (*trial).everySubscriber),
		of("payload is not looked at", "§3.3.3", "§3.3.3", "a payload of any bytes, also of none, comes as it was sent", (*trial).anyPayload),
	}
}

func (t *trial) answers() {
	p := t.joinAs("a")
	p.send(&wire.Publish{Topic: t.topic("a")})
	p.alive()
	if len(p.inbox) > 0 {
		t.fail("answers a PUBLISH of QoS 0 with %v", p.inbox[0].Type())
	}
	most := t.s.highest(t.version, 2)
	if t.version != wire.V5 && t.s.offers[wire.V5] == nil {
		most = wire.ExactlyOnce // nothing could tell a client that there is no QoS 2
	}
	for qos := wire.QoS(1); qos <= most; qos++ {
		p.publish(t.topic("a"), "x", qos)
	}
}

func (t *trial) qos3() {
	p := t.joinAs("a")
	p.raw(framed(0x36, text(t.topic("a")), uint16s(1), t.properties(), []byte("x")))
	p.refused("a PUBLISH of QoS 3", wire.MalformedPacket, wire.ProtocolError, wire.QoSNotSupported)
}

func (t *trial) dupAtQoS0() {
	p := t.joinAs("a")
	p.raw(framed(0x38, text(t.topic("a")), t.properties(), []byte("x")))
	p.send(&wire.Pingreq{})
	for {
		packet, err := p.read(t.s.Patience)
		switch packet := packet.(type) {
		case *wire.Pingresp:
			t.remark("is tolerated; the statement binds the client")
			return
		case nil:
			if isTimeout(err) {
				t.fail("answers no PINGREQ after a PUBLISH of QoS 0 with DUP")
			}
			return
		default:
			p.inbox = append(p.inbox, packet)
		}
	}
}

func (t *trial) dupIsNotPassedOn() {
	a, b := t.joinAs("a"), t.joinAs("b")
	most := t.s.highest(t.version, 2)
	a.subscribe(filter(t.topic("a"), most))
	for qos := wire.QoS(1); qos <= most; qos++ {
		b.publishWith(&wire.Publish{Topic: t.topic("a"), QoS: qos, Duplicate: true, Payload: []byte("x")})
		if m := a.expect(t.topic("a"), "x"); m.Duplicate {
			t.fail("a message that was published with DUP comes with DUP")
		}
	}
}

func (t *trial) wildcardTopic() {
	t.needsWildcards()
	watch := t.joinAs("w")
	watch.subscribe(filter(t.topic("#"), 0))
	for _, topic := range []string{"x/+", "x/#", "+"} {
		p := t.joinAs("a")
		p.raw(framed(0x30, text(t.topic(topic)), t.properties(), []byte("x")))
		p.send(&wire.Pingreq{})
		for {
			packet, err := p.read(t.s.Patience)
			if err != nil {
				if isTimeout(err) {
					t.fail("neither closes the connection nor goes on after a topic with wildcards")
				}
				break
			}
			if _, ok := packet.(*wire.Pingresp); ok {
				p.alive()
				t.remark("the connection goes on, and the message is dropped")
				break
			}
		}
	}
	watch.quiet("its topic has wildcards")
}

func (t *trial) topicsMatch() {
	t.needsWildcards()
	filters := []string{t.topic("a/+"), t.topic("b/#"), t.topic("+/c")}
	a, b := t.joinAs("a"), t.joinAs("b")
	for _, f := range filters {
		a.subscribe(filter(f, 0))
	}
	a.subscribe(filter(t.topic("end"), 0))
	for _, topic := range []string{"a", "a/x", "a/x/y", "b", "b/x/y", "x/c", "x/y/c", "c", "d"} {
		b.publish(t.topic(topic), "x", 0)
	}
	b.publish(t.topic("end"), "x", 0)
	for {
		m := a.message()
		if m.Topic == t.topic("end") {
			return
		}
		matches := false
		for _, f := range filters {
			matches = matches || match.MatchPlain(f, m.Topic)
		}
		if !matches {
			t.fail("a message on %q comes, which no filter matches", t.short(m.Topic))
		}
	}
}

// matchCase is a filter with a topic that it matches, and one that it does not, all below the prefix.
var matchCases = []struct {
	filter        string
	matches, does []string // does not
}{
	{"#", []string{"a", "a/b/c", "/"}, nil},
	{"+", []string{"a"}, []string{"/a", "a/b"}},
	{"+/+", []string{"/finance", "a/b"}, []string{"a"}},
	{"/+", []string{"/finance"}, []string{"finance"}},
	{"a/#", []string{"a", "a/b", "a/b/c", "a/"}, []string{"ab"}},
	{"a/+", []string{"a/b", "a/"}, []string{"a", "a/b/c"}},
	{"a/+/#", []string{"a/b", "a/b/c"}, []string{"a"}},
	{"a b/+", []string{"a b/c"}, []string{"ab/c"}},
	{"A/+", []string{"A/x"}, []string{"a/x"}},
	{"a//+", []string{"a//x"}, []string{"a/x"}},
}

func (t *trial) matching() {
	t.needsWildcards()
	p, other := t.joinAs("a"), t.joinAs("b")
	for i, c := range matchCases {
		base := t.topic(string(rune('A'+i))) + "/"
		if p.ask(filter(base+c.filter, 0))[0].Failed() {
			t.remark("refuses the filter %q", c.filter)
			continue
		}
		for _, topic := range c.does {
			other.publish(base+topic, "not", 0)
		}
		for _, topic := range c.matches {
			t.step = fmt.Sprintf("a message on %q for %q", topic, c.filter)
			other.publish(base+topic, "match", 0)
			m := p.message()
			if string(m.Payload) == "not" {
				t.fail("%q matches %q", c.filter, m.Topic[len(base):])
			}
			if m.Topic != base+topic {
				t.fail("%q does not match %q", c.filter, topic)
			}
		}
	}
}

func (t *trial) topicsKeepBytes() {
	a, b := t.joinAs("a"), t.joinAs("b")
	composed, apart, marked := t.topic("\u00e9"), t.topic("e\u0301"), t.topic("\ufeffa")
	a.subscribe(filter(composed, 0), filter(marked, 0))
	b.publish(apart, "other spelling", 0)
	b.publish(t.topic("a"), "without U+FEFF", 0)
	b.publish(composed, "x", 0)
	a.expect(composed, "x")
	b.publish(marked, "y", 0)
	a.expect(marked, "y")
}

func (t *trial) dollar() {
	t.needsWildcards()
	all, exact, sender := t.joinAs("a"), t.joinAs("e"), t.joinAs("b")
	all.unknown = true // it gets what other checks publish
	topic := "$" + t.prefix + "/x"
	if codes := all.ask(filter("+/x", 0), filter("#", 0)); codes[0].Failed() || codes[1].Failed() {
		t.unobserved("the client may not subscribe to +/x and #")
	}
	exact.ask(filter(topic, 0))
	sender.send(&wire.Publish{Topic: topic, Payload: []byte("x")})
	last := t.topic("last")
	other := t.joinAs("o")
	other.publish(last, "x", 0)
	for {
		m := all.message()
		if m.Topic[0] == '$' {
			t.fail("# or +/x matches %q", t.short(m.Topic))
		}
		if m.Topic == last {
			break
		}
	}
	all.unsubscribe("#")
	all.silentOn('$')
}

// silentOn fails if a message on a topic with this first byte comes.
func (p *caller) silentOn(first byte) {
	p.alive()
	for _, packet := range p.inbox {
		if m, ok := packet.(*wire.Publish); ok && m.Topic[0] == first {
			p.t.fail("a filter that begins with a wildcard matches %q", p.t.short(m.Topic))
		}
	}
}

func (t *trial) overlap() {
	t.needsWildcards()
	t.needsQoS(2)
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a/#"), 1), filter(t.topic("a/b"), 2), filter(t.topic("a/+"), 0))
	b.publish(t.topic("a/b"), "x", 2)
	b.publish(t.topic("a/b"), "end", 2)
	highest, copies := wire.QoS(0), 0
	for {
		m := a.message()
		if string(m.Payload) == "end" {
			break
		}
		highest = max(highest, m.QoS)
		copies++
	}
	if highest != 2 {
		t.fail("the message comes with QoS %d at most", highest)
	}
	if copies > 1 {
		t.remark("one copy comes for each subscription, which the texts permit")
	}
}

func (t *trial) lowerQoS() {
	b := t.joinAs("b")
	for granted := range t.s.highest(t.version, 2) + 1 {
		a := t.joinAs("a" + string(rune('0'+granted)))
		code := a.ask(filter(t.topic("a"), granted))[0]
		if code.Failed() {
			t.fail("SUBSCRIBE with QoS %d is refused with %v", granted, code)
		}
		if code != wire.ReasonCode(granted) {
			t.remark("QoS %d is granted as QoS %d, which the texts permit", granted, code)
		}
		for qos := range t.s.highest(t.version, 2) + 1 {
			b.publish(t.topic("a"), "x", qos)
			if m := a.expect(t.topic("a"), "x"); m.QoS != min(qos, wire.QoS(code)) {
				t.fail("a message of QoS %d comes with QoS %d to a subscription that was granted QoS %d", qos, m.QoS, code)
			}
		}
		a.leave()
	}
}

func (t *trial) everySubscriber() {
	qos := t.s.highest(t.version, 1)
	var all []*caller
	for _, name := range []string{"a", "b", "c"} {
		p := t.joinAs(name, keep)
		p.subscribe(filter(t.topic("a"), qos))
		all = append(all, p)
	}
	all[2].leave()
	t.joinAs("s").publish(t.topic("a"), "x", qos)
	all[2] = t.joinAs("c", keep)
	for _, p := range all {
		if qos > 0 || p != all[2] {
			p.expect(t.topic("a"), "x")
		}
	}
}

func (t *trial) anyPayload() {
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 0))
	bytes := make([]byte, 256)
	for i := range bytes {
		bytes[i] = byte(i)
	}
	for _, payload := range []string{"", string(bytes), badUTF8, string(make([]byte, 70_000))} {
		b.publish(t.topic("a"), payload, 0)
		if m := a.message(); string(m.Payload) != payload {
			t.fail("a payload of %d bytes comes as %d other bytes", len(payload), len(m.Payload))
		}
	}
}
