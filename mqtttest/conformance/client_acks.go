package conformance

import (
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// clientAcks has the statements about PUBACK, PUBREC, PUBREL and PUBCOMP.
func clientAcks() []clientCheck {
	return slices.Concat(clientAckForms(), clientAckResults(), clientAckStrays())
}

func clientAckForms() []clientCheck {
	return []clientCheck{
		rule("ack-forms", nil, ids("§3.4.2.1", "§3.5.2.1", "§3.7.2.1"),
			"an acknowledgement may leave out its properties, or its code and its properties",
			func(s *script) {
				p := s.open()
				for _, rest := range []string{"02 %04X", "03 %04X 00", "04 %04X 00 00"} {
					c, packet := s.publishing(p, "a", 1)
					p.raw("40" + fmt.Sprintf(rest, packet.PacketID))
					c.succeeds()
					c, packet = s.publishing(p, "a", 2)
					p.raw("50" + fmt.Sprintf(rest, packet.PacketID))
					want[*wire.Pubrel](p)
					p.raw("70" + fmt.Sprintf(rest, packet.PacketID))
					c.succeeds()
				}
			}),
		rule("pubrel-forms", nil, ids("§3.6.2.1"),
			"PUBREL may leave out its properties, or its code and its properties",
			func(s *script) {
				p := s.listening()
				for _, rest := range []string{"02 0007", "03 0007 00", "04 0007 00 00"} {
					p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: 7})
					want[*wire.Pubrec](p)
					p.raw("62" + rest)
					want[*wire.Pubcomp](p)
				}
			}),
		wrongAck("puback-code-listed", nil, ids("MQTT-3.4.2-1"),
			"PUBACK has only listed codes", publishQoS1,
			packets{nil, []string{"0x01:40 03 IIII 01", "0x8E:40 03 IIII 8E"}}, wire.ProtocolError, wire.MalformedPacket),
		wrongAck("pubrec-code-listed", nil, ids("MQTT-3.5.2-1"),
			"PUBREC has only listed codes", func(s *script) Operation {
				return Operation{Op: "publish", Topic: s.topic("a"), QoS: 2, Wait: true}
			},
			packets{nil, []string{"0x01:50 03 IIII 01", "0x8E:50 03 IIII 8E"}}, wire.ProtocolError, wire.MalformedPacket),
		wrong("pubrel-code-listed", nil, ids("MQTT-3.6.2-1"),
			"PUBREL has only listed codes",
			packets{nil, []string{"0x01:62 03 0001 01", "0x8E:62 03 0001 8E"}}, wire.ProtocolError, wire.MalformedPacket),
		wrong("pubcomp-code-listed", nil, ids("MQTT-3.7.2-1"),
			"PUBCOMP has only listed codes",
			packets{nil, []string{"0x01:70 03 0001 01", "0x8E:70 03 0001 8E"}}, wire.ProtocolError, wire.MalformedPacket),
		wrongAck("ack-of-two-bytes", ids("§3.4.1"), nil,
			"before 5.0 an acknowledgement has an identifier and nothing else", publishQoS1,
			packets{[]string{"40 04 IIII 00 00"}, nil}),
		rule("problem-information", nil, ids("MQTT-3.1.2-29"),
			"after Request Problem Information 0, a reason string in an acknowledgement is a protocol error",
			func(s *script) {
				op := s.connect()
				op.NoProblemInformation = true
				p := s.dial(op, &wire.Connack{})
				if v := p.connect.RequestProblemInformation; v == nil || *v {
					s.fails("CONNECT does not ask for it")
				}
				c, packet := s.publishing(p, "a", 1)
				p.send(&wire.Puback{PacketID: packet.PacketID, ReasonString: "why"})
				p.bye(wire.ProtocolError)
				c.wait()
			}),
		unseen("ack-size", nil, ids("MQTT-3.4.2-2", "MQTT-3.4.2-3", "MQTT-3.5.2-2", "MQTT-3.5.2-3", "MQTT-3.6.2-2", "MQTT-3.6.2-3", "MQTT-3.7.2-2", "MQTT-3.7.2-3"),
			"reason string and user properties are left out of an acknowledgement that would become too large",
			"the line protocol has no way to refuse a message"),
	}
}

func clientAckResults() []clientCheck {
	return []clientCheck{
		rule("puback-failure", nil, ids("§4.13.2", "§3.4.2.1"),
			"a failure in PUBACK concerns that message only, and the program sees the code",
			func(s *script) {
				p := s.open()
				c, packet := s.publishing(p, "a", 1)
				p.send(&wire.Puback{PacketID: packet.PacketID, ReasonCode: wire.QuotaExceeded, ReasonString: "why"})
				if a := c.failsWith(wire.QuotaExceeded); a.Properties == nil || a.Properties.ReasonString != "why" {
					s.remark("the program does not see the reason string")
				}
				p.alive()
			}),
		rule("pubrec-failure", nil, ids("MQTT-4.3.3-4", "MQTT-4.4.0-2"),
			"a failure in PUBREC ends the exchange: there is no PUBREL",
			func(s *script) {
				p := s.open()
				c, packet := s.publishing(p, "a", 2)
				p.send(&wire.Pubrec{PacketID: packet.PacketID, ReasonCode: wire.QuotaExceeded})
				p.alive()
				c.failsWith(wire.QuotaExceeded)
			}),
		rule("no-matching-subscribers", nil, ids("§3.4.2.1", "§3.5.2.1"),
			"the code 0x10 is a success",
			func(s *script) {
				p := s.open()
				c, packet := s.publishing(p, "a", 1)
				p.send(&wire.Puback{PacketID: packet.PacketID, ReasonCode: wire.NoMatchingSubscribers})
				if a := c.succeeds(); a.Code != int(wire.NoMatchingSubscribers) {
					s.remark("the program does not see the code")
				}
				c, packet = s.publishing(p, "a", 2)
				p.send(&wire.Pubrec{PacketID: packet.PacketID, ReasonCode: wire.NoMatchingSubscribers})
				want[*wire.Pubrel](p)
				p.send(&wire.Pubcomp{PacketID: packet.PacketID})
				c.succeeds()
			}),
	}
}

func clientAckStrays() []clientCheck {
	return []clientCheck{
		rule("stray-acks", ids("MQTT-2.3.1-6"), ids("§2.2.1"),
			"an acknowledgement of an identifier that is not in use changes nothing",
			func(s *script) {
				p := s.open()
				c, packet := s.publishing(p, "a", 1)
				stray := packet.PacketID ^ 0x4000
				p.send(&wire.Puback{PacketID: stray}, &wire.Pubcomp{PacketID: stray})
				if before := p.until(p.mark()); len(before) > 0 {
					if before[len(before)-1].ended {
						s.remark("ends the connection")
						c.wait()
						return
					}
					s.fails("want nothing, got %v", before[0])
				}
				c.undone()
				p.send(&wire.Puback{PacketID: packet.PacketID})
				c.succeeds()
			}),
		rule("stray-pubrec", ids("MQTT-2.3.1-6"), ids("MQTT-3.6.2-1"),
			"a PUBREC of an unknown identifier is answered with PUBREL, in 5.0 with 0x92",
			func(s *script) {
				p := s.open()
				p.send(&wire.Pubrec{PacketID: 999})
				s.answerToStray(p, 999)
			}),
		rule("stray-pubrel", ids("MQTT-2.3.1-6"), ids("MQTT-3.7.2-1"),
			"a PUBREL of an unknown identifier is answered with PUBCOMP, in 5.0 with 0x92",
			func(s *script) {
				p := s.open()
				p.send(&wire.Pubrel{PacketID: 999})
				s.answerToStray(p, 999)
			}),
		wrongKind("puback-for-qos-2", 2, ids("MQTT-4.3.3-1"), ids("MQTT-4.3.3-4"), &wire.Puback{}),
		wrongKind("pubrec-for-qos-1", 1, ids("MQTT-4.3.2-1"), ids("MQTT-4.3.2-3"), &wire.Pubrec{}),
		wrongKind("pubcomp-for-qos-1", 1, ids("MQTT-4.3.2-1"), ids("MQTT-4.3.2-3"), &wire.Pubcomp{}),
		wrongKind("pubcomp-before-pubrel", 2, ids("MQTT-4.3.3-1"), ids("MQTT-4.3.3-5"), &wire.Pubcomp{}),
	}
}

// answerToStray sees how the client answers PUBREC or PUBREL of an exchange that it
// does not know.
func (s *script) answerToStray(p *peer, id uint16) {
	var code wire.ReasonCode
	before := p.until(p.mark())
	if len(before) == 0 {
		s.advised("there is no answer")
	}
	switch packet := before[0].packet.(type) {
	case *wire.Pubrel:
		code = packet.ReasonCode
	case *wire.Pubcomp:
		code = packet.ReasonCode
	default:
		if before[len(before)-1].ended {
			s.remark("ends the connection")
			return
		}
		s.fails("the answer is %v", before[0])
	}
	if s.v5() && code != wire.PacketIdentifierNotFound {
		s.remark("the answer has 0x%02X", byte(code))
	}
}

// wrongKind makes a check of an acknowledgement that does not belong to the QoS of the
// message.
func wrongKind(name string, qos int, v311, v5 []string, ack wire.Packet) clientCheck {
	text := fmt.Sprintf("%v does not complete a message of QoS %d that waits for another packet", ack.Type(), qos)
	return rule(name, v311, v5, text, func(s *script) {
		p := s.open()
		c, packet := s.publishing(p, "a", qos)
		p.raw(fmt.Sprintf("%02X 02 %04X", byte(ack.Type())<<4, packet.PacketID))
		before := p.until(p.mark())
		if len(before) > 0 && before[len(before)-1].ended {
			s.remark("ends the connection")
			c.wait()
			return
		}
		if len(before) > 0 {
			s.remark("answers %v", before[0].packet.Type())
		}
		c.undone()
	})
}
