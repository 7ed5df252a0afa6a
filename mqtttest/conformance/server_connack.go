package conformance

import (
	"bytes"

	"github.com/seed65a45251/mqtt/wire"
)

func serverConnackChecks() []serverCheck {
	return []serverCheck{
		of("CONNACK comes first", "3.2.0-1", "3.2.0-1 3.2.0-2", "CONNACK comes before all other packets, once", (*trial).connackFirst),
		of("refusal closes", "3.2.2-4 3.2.2-5", "3.2.2-6 3.2.2-7 3.1.4-2", "a CONNACK that refuses has no Session Present, and the connection is closed", (*trial).refusalCloses),
		of("refused credentials", "§3.2.2.3", "3.1.4-2", "wrong credentials are refused, with Bad User Name or Password or Not authorized if with CONNACK", (*trial).refusedCredentials),
		of("response information", "", "3.1.2-28", "there is no Response Information for a client that did not ask for it", (*trial).responseInformation),
		of("problem information", "", "3.1.2-29", "a client that wants no problem information gets it in PUBLISH, CONNACK and DISCONNECT only", (*trial).problemInformation),
		of("CONNACK that fits", "", "3.1.2-24 3.2.2-19 3.2.2-20", "CONNACK is no larger than the client's Maximum Packet Size", (*trial).smallConnack),
		of("SUBACK that fits", "", "3.1.2-24 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2", "SUBACK and UNSUBACK are no larger than the client's Maximum Packet Size", (*trial).smallSuback),
		of("acknowledgements that fit", "", "3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3", "PUBACK, PUBREC, PUBREL and PUBCOMP are no larger than the client's Maximum Packet Size", (*trial).smallAcks),
		of("DISCONNECT that fits", "", "3.14.2-3 3.14.2-4", "DISCONNECT is no larger than the client's Maximum Packet Size", (*trial).smallDisconnect),
		of("messages that do not fit", "", "3.1.2-24 3.1.2-25", "a message larger than the client's Maximum Packet Size is left out, and counts as delivered", (*trial).largeMessage),
	}
}

func (t *trial) connackFirst() {
	p := t.joinAs("a", keep)
	p.subscribe(filter(t.topic("a"), 1))
	p.leave()
	sender := t.joinAs("b")
	for _, payload := range numbered(3) {
		sender.publish(t.topic("a"), payload, 1)
	}
	again := t.joinAs("a", keep) // fails if another packet comes first
	again.message()
	again.alive()
	for _, packet := range again.inbox {
		if _, ok := packet.(*wire.Connack); ok {
			t.fail("a second CONNACK comes")
		}
	}
}

func (t *trial) refusalCloses() {
	refused := 0
	for _, b := range t.refusals() {
		p := t.dial()
		p.unknown = true
		p.raw(b)
		packet, err := p.read(t.s.Patience)
		if isTimeout(err) {
			t.fail("does not answer a CONNECT that it has to refuse within %v", t.s.Patience)
		}
		connack, ok := packet.(*wire.Connack)
		if !ok {
			continue // closing without a word is permitted
		}
		if !connack.ReasonCode.Failed() {
			continue // accepted: other checks judge that
		}
		refused++
		p.closed("a CONNACK that refuses")
	}
	if refused == 0 {
		t.unobserved("the server has refused no CONNECT with a CONNACK")
	}
}

// refusals are CONNECT packets that servers usually refuse with a CONNACK.
func (t *trial) refusals() [][]byte {
	level := t.connectBytes(flagClean, block(), text(t.id("a")))
	level[bytes.IndexByte(level, byte(t.version))] = 0x7F
	if i := bytes.Index(level, []byte("MQTT")); i > 0 {
		level[i+4] = 0x7F
	}
	all := [][]byte{level, t.connectBytes(0, block(), text(""))}
	if t.version == wire.V5 {
		all = append(all, t.connectBytes(flagClean, block([]byte{0x15}, text("no-such-method")), text(t.id("a"))))
	}
	if t.s.Refused != "" {
		all = append(all, t.connectBytes(flagClean|flagUsername|flagPassword, block(), text(t.id("a")), text(t.s.Refused), text("wrong")))
	}
	return all
}

func (t *trial) refusedCredentials() {
	if t.s.Refused == "" {
		t.unobserved("the suite knows no credentials that the server refuses")
	}
	c := t.connect(t.id("a"))
	c.Username, c.Password = &t.s.Refused, []byte("wrong")
	p, connack := t.open(c)
	if p != nil {
		t.fail("accepts the user %q with a wrong password", t.s.Refused)
	}
	if connack == nil {
		t.remark("closes the connection without CONNACK")
		return
	}
	if code := connack.ReasonCode; code != wire.BadUserNameOrPassword && code != wire.NotAuthorized {
		t.fail("wrong credentials are refused with %v", code)
	}
}

func (t *trial) responseInformation() {
	if got := t.joinAs("a").connack.ResponseInformation; got != "" {
		t.fail("CONNACK has the Response Information %q", got)
	}
}

func (t *trial) problemInformation() {
	p := t.joinAs("a", func(c *wire.Connect) { c.RequestProblemInformation = new(bool) })
	p.provokeSuback()
	p.offer(&wire.Publish{Topic: t.topic("nobody"), QoS: t.s.highest(t.version, 1)})
	if t.s.Forbidden != "" {
		p.offer(&wire.Publish{Topic: t.s.Forbidden, QoS: t.s.highest(t.version, 1)})
	}
	p.send(&wire.Pubrel{PacketID: 4711, ReasonCode: wire.PacketIdentifierNotFound})
	take[*wire.Pubcomp](p)
}

// hasProblems reports whether an answer has a reason string or user properties.
func hasProblems(packet wire.Packet) bool {
	switch packet := packet.(type) {
	case *wire.Puback:
		return packet.ReasonString != "" || len(packet.UserProperties) > 0
	case *wire.Pubrec:
		return packet.ReasonString != "" || len(packet.UserProperties) > 0
	case *wire.Pubrel:
		return packet.ReasonString != "" || len(packet.UserProperties) > 0
	case *wire.Pubcomp:
		return packet.ReasonString != "" || len(packet.UserProperties) > 0
	case *wire.Suback:
		return packet.ReasonString != "" || len(packet.UserProperties) > 0
	case *wire.Unsuback:
		return packet.ReasonString != "" || len(packet.UserProperties) > 0
	case *wire.Auth:
		return packet.ReasonString != "" || len(packet.UserProperties) > 0
	}
	return false
}

// limited asks for packets of at most n bytes; read fails when a larger one comes.
func limited(n uint32) func(*wire.Connect) {
	return func(c *wire.Connect) { c.MaximumPacketSize = n }
}

func (t *trial) smallConnack() {
	for _, limit := range []uint32{20, 5} {
		c := t.connect(t.id("a"))
		c.MaximumPacketSize = limit
		p, connack := t.open(c)
		switch {
		case p != nil:
			p.leave()
		case connack != nil:
			t.remark("refuses a Maximum Packet Size of %d bytes with %v", limit, connack.ReasonCode)
		default:
			t.remark("closes the connection if CONNACK does not fit into %d bytes", limit)
		}
	}
}

func (t *trial) smallSuback() {
	p := t.joinAs("a", limited(200))
	p.provokeSuback()
}

// provokeSuback lets the server answer requests that it grants only in part. A filter that is wrong may
// end the connection instead.
func (p *caller) provokeSuback() {
	p.ask(filter(p.t.topic("a"), 0))
	p.unsubscribe(p.t.topic("a"), p.t.topic("b"))
	if p.t.s.Forbidden != "" {
		p.ask(filter(p.t.topic("a"), 0), filter(p.t.s.Forbidden, 0))
	}
}

func (t *trial) smallAcks() {
	t.needsQoS(2)
	p := t.joinAs("a", limited(200))
	p.publish(t.topic("nobody"), "x", 1)
	p.publish(t.topic("nobody"), "x", 2)
	p.subscribe(filter(t.topic("a"), 2))
	p.publish(t.topic("a"), "x", 2)
	p.expect(t.topic("a"), "x")
	if t.s.Forbidden != "" {
		p.offer(&wire.Publish{Topic: t.s.Forbidden, QoS: 1})
	}
}

func (t *trial) smallDisconnect() {
	p := t.joinAs("a", limited(200))
	p.raw(framed(0x82, uint16s(1), block())) // no filter
	p.closed("a SUBSCRIBE without a filter")
}

func (t *trial) largeMessage() {
	p := t.joinAs("a", limited(200), func(c *wire.Connect) { c.ReceiveMaximum = 2 })
	p.subscribe(filter(t.topic("a"), 1))
	other := t.joinAs("b")
	for range 5 { // more than the quota, which they must not use up
		other.publish(t.topic("a"), string(make([]byte, 300)), 1)
	}
	other.publish(t.topic("a"), "small", 1)
	p.expect(t.topic("a"), "small")
	p.alive()
}
