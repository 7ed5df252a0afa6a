package conformance

import (
	"github.com/seed65a45251/mqtt/wire"
)

func serverRightsChecks() []serverCheck {
	return []serverCheck{
		of("forbidden PUBLISH", "3.3.5-2", "§3.4.2.1", "a PUBLISH that is not permitted is not passed on; it is acknowledged, with Not authorized on 5.0, or the connection ends", (*trial).forbiddenPublish),
		of("forbidden SUBSCRIBE", "3.8.4-5", "3.8.4-6", "a SUBSCRIBE that is in part not permitted is answered with codes for all its filters, or the connection ends", (*trial).forbiddenSubscribe),
	}
}

func (t *trial) forbidden() string {
	if t.s.Forbidden == "" {
		t.unobserved("the suite knows no topic that is forbidden")
	}
	return t.s.Forbidden
}

func (t *trial) forbiddenPublish() {
	topic := t.forbidden()
	p := t.joinAs("a")
	p.send(&wire.Publish{Topic: topic, QoS: 1, PacketID: 1, Payload: []byte("x")})
	packet, err := p.read(t.s.Patience)
	switch packet := packet.(type) {
	case *wire.Puback:
		if t.version == wire.V5 && !packet.ReasonCode.Failed() {
			t.remark("PUBACK has the code %v", packet.ReasonCode)
		}
	case *wire.Disconnect:
		t.remark("ends the connection")
	case nil:
		if isTimeout(err) {
			t.fail("neither acknowledges a forbidden PUBLISH nor closes the connection")
		}
		t.remark("ends the connection")
	default:
		t.fail("answers PUBLISH with %v", packet.Type())
	}
}

func (t *trial) forbiddenSubscribe() {
	topic := t.forbidden()
	p := t.joinAs("a")
	p.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter(t.topic("a"), 0), filter(topic, 0), filter(t.topic("b"), 0)}})
	packet, err := p.read(t.s.Patience)
	switch packet := packet.(type) {
	case *wire.Suback:
		if codes := packet.ReasonCodes; len(codes) != 3 || codes[0].Failed() || codes[2].Failed() {
			t.fail("the codes of a permitted, a forbidden and a permitted filter are %v", codes)
		} else if !codes[1].Failed() {
			t.remark("grants the filter; whether messages are held back is not observed")
		}
	default:
		if isTimeout(err) {
			t.fail("does not answer SUBSCRIBE within %v", t.s.Patience)
		}
		t.remark("ends the connection")
	}
}
