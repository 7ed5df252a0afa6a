package conformance

import (
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// filter is one filter of a SUBSCRIBE.
func filter(text string, qos wire.QoS) wire.SubscribeFilter {
	return wire.SubscribeFilter{Filter: text, QoS: qos}
}

// ask sends SUBSCRIBE and returns the codes of SUBACK.
func (p *caller) ask(filters ...wire.SubscribeFilter) []wire.ReasonCode {
	return p.askWith(&wire.Subscribe{Filters: filters})
}

func (p *caller) askWith(s *wire.Subscribe) []wire.ReasonCode {
	s.PacketID = p.packetID()
	p.send(s)
	suback := take[*wire.Suback](p)
	if suback.PacketID != s.PacketID {
		p.t.fail("SUBACK has the identifier %d, SUBSCRIBE had %d", suback.PacketID, s.PacketID)
	}
	if len(suback.ReasonCodes) != len(s.Filters) {
		p.t.fail("SUBACK has %d codes for %d filters", len(suback.ReasonCodes), len(s.Filters))
	}
	return suback.ReasonCodes
}

// subscribe subscribes and demands that every filter is granted.
func (p *caller) subscribe(filters ...wire.SubscribeFilter) {
	p.subscribeWith(&wire.Subscribe{Filters: filters})
}

func (p *caller) subscribeWith(s *wire.Subscribe) {
	for i, code := range p.askWith(s) {
		if code.Failed() {
			p.t.fail("SUBSCRIBE to %q is refused with %v", p.t.short(s.Filters[i].Filter), code)
		}
	}
}

// unsubscribe sends UNSUBSCRIBE and returns the UNSUBACK.
func (p *caller) unsubscribe(filters ...string) *wire.Unsuback {
	u := &wire.Unsubscribe{PacketID: p.packetID(), Filters: filters}
	p.send(u)
	unsuback := take[*wire.Unsuback](p)
	if unsuback.PacketID != u.PacketID {
		p.t.fail("UNSUBACK has the identifier %d, UNSUBSCRIBE had %d", unsuback.PacketID, u.PacketID)
	}
	return unsuback
}

// publish publishes a message and completes its exchange.
func (p *caller) publish(topic, payload string, qos wire.QoS) {
	p.publishWith(&wire.Publish{Topic: topic, Payload: []byte(payload), QoS: qos})
}

// retain publishes a retained message, which the end of the trial removes.
func (p *caller) retain(topic, payload string, qos wire.QoS) {
	p.t.retained = append(p.t.retained, topic)
	p.publishWith(&wire.Publish{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: true})
	p.alive() // a message of QoS 0 has been looked at too
}

func (p *caller) publishWith(m *wire.Publish) {
	if code := p.offer(m); code.Failed() {
		p.t.fail("PUBLISH of QoS %d is refused with %v", m.QoS, code)
	}
}

// offer publishes a message, completes its exchange and returns the server's code.
func (p *caller) offer(m *wire.Publish) wire.ReasonCode {
	if m.QoS > 0 {
		m.PacketID = p.packetID()
	}
	p.send(m)
	switch m.QoS {
	case wire.AtLeastOnce:
		puback := take[*wire.Puback](p)
		p.same("PUBACK", puback.PacketID, m.PacketID)
		return puback.ReasonCode
	case wire.ExactlyOnce:
		pubrec := p.pubrec(m.PacketID)
		if pubrec.ReasonCode.Failed() {
			return pubrec.ReasonCode
		}
		p.send(&wire.Pubrel{PacketID: m.PacketID})
		p.pubcomp(m.PacketID)
	}
	return wire.Success
}

func (p *caller) same(name string, got, sent uint16) {
	if got != sent {
		p.t.fail("%s has the identifier %d, the packet that it answers had %d", name, got, sent)
	}
}

// pubrec waits for the answer to a QoS 2 PUBLISH.
func (p *caller) pubrec(id uint16) *wire.Pubrec {
	for {
		for i, packet := range p.inbox {
			switch packet := packet.(type) {
			case *wire.Puback:
				p.t.fail("answers a PUBLISH of QoS 2 with PUBACK")
			case *wire.Pubrec:
				p.inbox = append(p.inbox[:i], p.inbox[i+1:]...)
				p.same("PUBREC", packet.PacketID, id)
				return packet
			}
		}
		packet, err := p.read(p.t.s.Patience)
		if err != nil {
			p.t.fail("PUBREC does not come: %s", p.ending(err))
		}
		p.inbox = append(p.inbox, packet)
	}
}

func (p *caller) pubcomp(id uint16) *wire.Pubcomp {
	pubcomp := take[*wire.Pubcomp](p)
	p.same("PUBCOMP", pubcomp.PacketID, id)
	return pubcomp
}

// message returns the next message and acknowledges it.
func (p *caller) message() *wire.Publish {
	m := take[*wire.Publish](p)
	p.acknowledge(m)
	return m
}

// expect is message, with its topic and payload given.
func (p *caller) expect(topic, payload string) *wire.Publish {
	p.awaits = fmt.Sprintf("the message %q on %q", payload, p.t.short(topic))
	m := take[*wire.Publish](p)
	p.awaits = ""
	p.acknowledge(m)
	if m.Topic != topic || string(m.Payload) != payload {
		p.t.fail("a message %q on %q comes instead of %q on %q", m.Payload, p.t.short(m.Topic), payload, p.t.short(topic))
	}
	return m
}

func (p *caller) acknowledge(m *wire.Publish) {
	switch m.QoS {
	case wire.AtLeastOnce:
		p.send(&wire.Puback{PacketID: m.PacketID})
	case wire.ExactlyOnce:
		p.send(&wire.Pubrec{PacketID: m.PacketID})
		p.same("PUBREL", take[*wire.Pubrel](p).PacketID, m.PacketID)
		p.send(&wire.Pubcomp{PacketID: m.PacketID})
	}
}

// quiet fails if a message has come, or comes, besides those that were taken. Two things show that
// the server has had its chance: the answer to a PINGREQ, and a message that is published now.
func (p *caller) quiet(why string) {
	marker := p.t.topic("marker")
	p.subscribe(filter(marker, 0))
	other := p.t.joinAs("mark")
	other.publish(marker, "mark", p.t.s.highest(p.t.version, 1))
	for {
		m := take[*wire.Publish](p)
		if m.Topic == marker {
			p.acknowledge(m)
			break
		}
		p.unexpected(m, why)
	}
	other.leave()
	p.silent(why)
}

// silent fails if a message comes within a moment. It is for connections on which the script must
// not disturb what is under way.
func (p *caller) silent(why string) {
	p.alive()
	for _, packet := range p.inbox {
		p.unexpected(packet, why)
	}
	packet, err := p.read(lull)
	if err == nil {
		p.unexpected(packet, why)
		p.inbox = append(p.inbox, packet)
	}
}

func (p *caller) unexpected(packet wire.Packet, why string) {
	if m, ok := packet.(*wire.Publish); ok && m.Topic != p.t.topic("marker") {
		p.t.fail("a message %q on %q comes, although %s", m.Payload, p.t.short(m.Topic), why)
	}
}

// collect takes messages until the marker, which the caller publishes last on the same topic.
func (p *caller) collect(marker string) (payloads []string) {
	deadline := time.Now().Add(p.t.s.Patience)
	for time.Now().Before(deadline) {
		m := p.message()
		if string(m.Payload) == marker {
			return payloads
		}
		payloads = append(payloads, string(m.Payload))
	}
	p.t.fail("the message %q did not come within %v", marker, p.t.s.Patience)
	return nil
}

// numbered returns n payloads.
func numbered(n int) (payloads []string) {
	for i := range n {
		payloads = append(payloads, fmt.Sprintf("m%03d", i))
	}
	return payloads
}
