package conformance

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// clientPublish has the statements about PUBLISH.
func clientPublish() []clientCheck {
	return slices.Concat(clientPublishSends(), clientPublishReceives(), clientPublishWrong())
}

// refuses makes a check of operations that the client has to refuse.
func refuses(name string, v311, v5 []string, text string, operations ...Operation) clientCheck {
	return rule(name, v311, v5, text, func(s *script) {
		p := s.open()
		for _, op := range operations {
			op.Wait = op.Op == "publish"
			p.refusedAlso(op)
		}
	})
}

func clientPublishSends() []clientCheck {
	return []clientCheck{
		refuses("qos-3-send", ids("MQTT-3.3.1-4"), ids("MQTT-3.3.1-4"), "nothing is published with QoS 3",
			Operation{Op: "publish", Topic: "a", QoS: 3}),
		refuses("wildcard-send", ids("MQTT-3.3.2-2", "MQTT-4.7.1-1"), ids("MQTT-3.3.2-2", "MQTT-4.7.0-1"),
			"a topic has no wildcards",
			Operation{Op: "publish", Topic: "a/+"}, Operation{Op: "publish", Topic: "#"}),
		refuses("empty-topic-send", ids("MQTT-4.7.3-1"), ids("MQTT-4.7.3-1", "§3.3.2.1"),
			"a topic has at least one character",
			Operation{Op: "publish"}),
		refuses("response-topic-send", nil, ids("MQTT-3.3.2-14"), "a Response Topic has no wildcards",
			Operation{Op: "publish", Topic: "a", Properties: &Properties{ResponseTopic: "r/#"}}),
		rule("publish-first-sending", ids("MQTT-4.3.1-1", "MQTT-4.3.2-1", "MQTT-4.3.3-1"), ids("MQTT-4.3.1-1", "MQTT-4.3.2-2", "MQTT-4.3.3-2", "MQTT-3.3.1-2"),
			"the first sending has the QoS asked for and DUP 0",
			func(s *script) {
				p := s.open()
				for qos := range 3 {
					if packet := s.publish(p, "a", qos); packet.Duplicate {
						s.fails("DUP is set at QoS %d", qos)
					}
				}
			}),
		rule("empty-retained", ids("§3.3.1.3"), ids("§3.3.1.3", "§3.3.3"),
			"an empty retained message, which clears the one before, can be sent",
			func(s *script) {
				p := s.open()
				c := s.begin(Operation{Op: "publish", Topic: s.topic("a"), Retain: true, Wait: true})
				if packet := want[*wire.Publish](p); !packet.Retain || len(packet.Payload) != 0 {
					s.fails("the client sends %+v", *packet)
				}
				c.succeeds()
			}),
	}
}

func clientPublishReceives() []clientCheck {
	return []clientCheck{
		rule("dup-first", ids("MQTT-3.3.1-3"), ids("MQTT-3.3.1-3"),
			"DUP does not say that a message was received before: it is delivered",
			func(s *script) {
				p := s.listening()
				p.send(&wire.Publish{Topic: s.topic("a"), QoS: 1, PacketID: 5, Duplicate: true})
				want[*wire.Puback](p)
				s.message("a")
			}),
		choice("dup-at-qos-0", ids("MQTT-3.3.1-2"), ids("MQTT-3.3.1-2"),
			"DUP is 0 at QoS 0: a client takes such a message or closes",
			packets{[]string{"38 03 0001 61"}, []string{"38 04 0001 61 00"}}),
		rule("answer-by-qos", ids("MQTT-3.3.4-1"), ids("MQTT-3.3.4-1"),
			"a message is answered according to its QoS: not, with PUBACK, with PUBREC",
			func(s *script) {
				p := s.listening()
				p.send(&wire.Publish{Topic: s.topic("0")})
				p.alive()
				p.send(&wire.Publish{Topic: s.topic("1"), QoS: 1, PacketID: 1})
				want[*wire.Puback](p)
				p.send(&wire.Publish{Topic: s.topic("2"), QoS: 2, PacketID: 2})
				want[*wire.Pubrec](p)
				p.send(&wire.Pubrel{PacketID: 2})
				want[*wire.Pubcomp](p)
				for _, rest := range []string{"0", "1", "2"} {
					s.message(rest)
				}
			}),
		rule("unwanted", ids("MQTT-3.3.2-3", "MQTT-4.5.0-2"), ids("MQTT-3.3.2-3", "MQTT-4.5.0-2"),
			"a message is acknowledged even if the program has no use for it",
			func(s *script) {
				p := s.open()
				p.send(&wire.Publish{Topic: s.topic("nobody"), QoS: 1, PacketID: 5}, &wire.Publish{Topic: s.topic("nobody"), QoS: 2, PacketID: 6})
				if ack := want[*wire.Puback](p); ack.ReasonCode.Failed() {
					s.remark("PUBACK has 0x%02X", byte(ack.ReasonCode))
				}
				if ack := want[*wire.Pubrec](p); ack.ReasonCode.Failed() {
					s.remark("PUBREC has 0x%02X", byte(ack.ReasonCode))
				}
			}),
		rule("empty-payload", ids("§3.3.3"), ids("§3.3.3"),
			"a message may have no payload",
			func(s *script) {
				p := s.listening()
				p.send(&wire.Publish{Topic: s.topic("a")})
				if e := s.message("a"); len(e.PayloadBase64) != 0 {
					s.fails("the payload is %x", e.PayloadBase64)
				}
			}),
		rule("retain-received", ids("§3.3.1.3"), ids("§3.3.1.3"),
			"the program sees the retain flag of a message",
			func(s *script) {
				p := s.listening()
				p.send(&wire.Publish{Topic: s.topic("a"), Retain: true}, &wire.Publish{Topic: s.topic("b")})
				if !s.message("a").Retain {
					s.fails("the flag is not shown")
				}
				if s.message("b").Retain {
					s.fails("the flag is shown where it is not set")
				}
			}),
		choice("payload-format", nil, ids("§3.3.2.3.2"),
			"a client may check the payload of a message that is said to be UTF-8",
			packets{nil, []string{"30 08 0001 61 02 01 01 C328"}}),
		rule("order-of-messages", ids("§4.6"), ids("§4.6", "MQTT-4.6.0-2"),
			"messages of one topic and QoS reach the program in order, and are acknowledged in order",
			func(s *script) {
				p := s.listening()
				const count = 100
				for i := range uint16(count) {
					p.send(&wire.Publish{Topic: s.topic("a"), Payload: []byte{byte(i)}, QoS: 1, PacketID: i + 1})
				}
				for i := range uint16(count) {
					if ack := want[*wire.Puback](p); ack.PacketID != i+1 {
						s.fails("PUBACK %d comes as number %d", ack.PacketID, i+1)
					}
				}
				for i := range count {
					if e := s.message("a"); len(e.PayloadBase64) != 1 || int(e.PayloadBase64[0]) != i {
						s.fails("message %x comes as number %d", e.PayloadBase64, i)
					}
				}
			}),
		unseen("overlapping", ids("§3.3.5"), ids("§3.3.4"),
			"a message comes once or several times for overlapping subscriptions", "both are right"),
	}
}

func clientPublishWrong() []clientCheck {
	return []clientCheck{
		wrong("qos-3-receive", ids("MQTT-3.3.1-4"), ids("MQTT-3.3.1-4"), "a message with QoS 3 ends the connection",
			packets{[]string{"36 05 0001 61 0001"}, []string{"36 06 0001 61 0001 00"}}, wire.MalformedPacket),
		wrong("wildcard-receive", ids("MQTT-3.3.2-2", "MQTT-4.7.1-1"), ids("MQTT-3.3.2-2", "MQTT-4.7.0-1"),
			"a received topic has no wildcards",
			packets{[]string{"a/+:30 05 0003 612F2B", "#:30 03 0001 23"}, []string{"a/+:30 06 0003 612F2B 00", "#:30 04 0001 23 00"}},
			wire.ProtocolError, wire.MalformedPacket, wire.TopicNameInvalid),
		wrong("empty-topic-receive", ids("MQTT-4.7.3-1"), ids("§3.3.2.1", "MQTT-4.7.3-1"),
			"a received topic has at least one character, unless there is an alias",
			packets{[]string{"30 02 0000"}, []string{"30 03 0000 00"}}, wire.ProtocolError, wire.MalformedPacket, wire.TopicNameInvalid),
		wrong("response-topic-receive", nil, ids("MQTT-3.3.2-13", "MQTT-3.3.2-14"),
			"a Response Topic is a UTF-8 string without wildcards",
			packets{nil, []string{"r/#:30 0A 0001 61 06 08 0003 722F23", "FF:30 08 0001 61 04 08 0001 FF"}},
			wire.ProtocolError, wire.MalformedPacket, wire.TopicNameInvalid),
		wrong("content-type-receive", nil, ids("MQTT-3.3.2-19"), "Content Type is a UTF-8 string",
			packets{nil, []string{"30 08 0001 61 04 03 0001 FF"}}, wire.MalformedPacket),
	}
}
