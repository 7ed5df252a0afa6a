package conformance

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// clientConnack has the statements about CONNACK.
func clientConnack() []clientCheck {
	return slices.Concat(clientConnackOrder(), clientConnackRefusal(), clientConnackLimits())
}

func clientConnackOrder() []clientCheck {
	return []clientCheck{
		wrongConnack("connack-first", ids("MQTT-3.2.0-1"), ids("MQTT-3.2.0-1"),
			"the server's first packet is CONNACK",
			packets{
				[]string{"PUBLISH:30 03 0001 61", "PINGRESP:D0 00", "SUBACK:90 03 0001 00"},
				[]string{"PUBLISH:30 04 0001 61 00", "PINGRESP:D0 00", "SUBACK:90 04 0001 00 00"},
			}, wire.ProtocolError),
		wrong("connack-once", ids("MQTT-3.1.4-4"), ids("MQTT-3.2.0-2"),
			"one CONNACK per connection",
			packets{[]string{"20 02 00 00"}, []string{"20 03 00 00 00"}}, wire.ProtocolError),
		wrongConnack("connack-flags", ids("§3.2.2.1"), ids("MQTT-3.2.2-1"),
			"bits 7 to 1 of the acknowledge flags are 0",
			packets{[]string{"20 02 02 00", "20 02 80 00"}, []string{"20 03 02 00 00", "20 03 80 00 00"}}, wire.MalformedPacket),
		wrongConnack("present-after-clean-start", ids("MQTT-3.2.2-1"), ids("MQTT-3.2.2-2"),
			"after a clean start Session Present is 0",
			packets{[]string{"20 02 01 00"}, []string{"20 03 01 00 00"}}, wire.ProtocolError),
		rule("present-without-state", nil, ids("MQTT-3.2.2-4"),
			"a client without session state closes the connection when Session Present is 1",
			func(s *script) {
				op := s.lasting()
				op.Reconnect = false
				s.wrongAnswer(op, "20 03 01 00 00", []wire.ReasonCode{wire.ProtocolError})
			}),
		rule("present-reported", ids("MQTT-3.2.2-2", "MQTT-3.2.2-3"), ids("MQTT-3.2.2-3"),
			"the program sees whether the server has a session",
			func(s *script) {
				op := s.lasting()
				p := s.dial(op, &wire.Connack{})
				s.resumed(p, op)
			}),
		wrongConnack("connack-two-bytes", nil, ids("§3.2.2.3"),
			"a CONNACK of 5.0 has properties",
			packets{nil, []string{"20 02 00 00"}}, wire.MalformedPacket),
		rule("authentication-method-unasked", nil, ids("MQTT-4.12.0-6"),
			"CONNACK has no Authentication Method unless CONNECT had one",
			func(s *script) {
				s.wrongAnswer(s.connect(), "20 08 00 00 05 15 0002 6162", []wire.ReasonCode{wire.ProtocolError})
			}),
		rule("response-information-unasked", nil, ids("MQTT-3.1.2-28"),
			"CONNACK has no Response Information unless CONNECT asked for it: the client takes it or closes",
			func(s *script) { s.eitherConnack(s.connect(), "20 07 00 00 04 1A 0001 61") }),
		rule("response-information", nil, ids("§3.1.2.11.6", "§3.2.2.3.15"),
			"Response Information is asked for with 1, and may be missing",
			func(s *script) {
				op := s.connect()
				op.RequestResponseInformation = true
				p := s.dial(op, &wire.Connack{})
				if !p.connect.RequestResponseInformation {
					s.fails("CONNECT does not ask for it")
				}
				p.alive()
			}),
		rule("assigned-client-id-missing", nil, ids("MQTT-3.2.2-16"),
			"a server assigns an identifier if the client has none: without it the client goes on or closes",
			func(s *script) {
				op := s.connect()
				op.ID = ""
				s.eitherConnack(op, "20 03 00 00 00")
			}),
		rule("assigned-client-id", nil, ids("MQTT-3.2.2-16", "MQTT-3.1.3-7"),
			"the program sees the identifier that the server assigns, and the library uses it from then on",
			func(s *script) {
				op := s.lasting()
				op.ID = ""
				c := s.begin(op)
				p := s.accept(c)
				if p.connect.ClientID != "" {
					s.end(NotObserved, "the library makes the identifier")
				}
				p.send(&wire.Connack{AssignedClientID: "auto1"})
				if a := c.succeeds(); a.Properties == nil || a.Properties.AssignedID != "auto1" {
					s.remark("the program does not see it")
				}
				if !op.Reconnect {
					s.end(NotObserved, "the library does not reconnect by itself")
				}
				p = s.resume(p, op, present())
				if p.connect.ClientID != "auto1" {
					s.advised("the next CONNECT has the identifier %q", p.connect.ClientID)
				}
			}),
	}
}

// eitherConnack answers CONNECT in a way that the client may take or not.
func (s *script) eitherConnack(op Operation, answer string) {
	c := s.begin(op)
	p := s.accept(c)
	p.raw(answer)
	if a := c.wait(); !a.OK {
		s.remark("ends the connection")
	}
}

// resumed resumes a session and sees whether the program is told.
func (s *script) resumed(p *peer, op Operation) {
	p.reset()
	var told bool
	if op.Reconnect {
		p = s.accept(nil)
		p.send(present())
		told = s.event("connected").Present
	} else {
		c := s.begin(op)
		p = s.accept(c)
		p.send(present())
		a := c.wait()
		if !a.OK {
			s.end(NotObserved, "the library keeps no session: %s", a.Error)
		}
		told = a.Present
	}
	if !told {
		s.end(Cannot, "the program does not see it")
	}
}

func clientConnackRefusal() []clientCheck {
	return []clientCheck{
		rule("refusal-with-present", ids("MQTT-3.2.2-4"), ids("MQTT-3.2.2-6"),
			"a refusal has no Session Present: connecting fails with the code",
			func(s *script) { s.refusal(s.either("20 02 01 05", "20 03 01 87 00"), 0x87, 5) }),
		rule("refusal-ends", ids("MQTT-3.2.2-5"), ids("MQTT-3.2.2-7", "MQTT-4.13.2-1"),
			"after a refusal the client closes the connection, and does not wait for the server",
			func(s *script) { s.refusal(s.either("20 02 00 05", "20 03 00 87 00"), 0x87, 5) }),
		rule("connack-codes", ids("§3.2.2.3"), ids("§3.2.2.2", "MQTT-3.2.2-12", "MQTT-4.12.0-1"),
			"each code of CONNACK is a refusal, and the program sees it",
			func(s *script) {
				if !s.v5() {
					for code := 1; code <= 5; code++ {
						s.doing = fmt.Sprintf("code %d", code)
						s.refusal(fmt.Sprintf("20 02 00 %02X", code), -1, code)
						s.again()
					}
					return
				}
				for _, code := range []int{
					0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
				} {
					s.doing = fmt.Sprintf("code 0x%02X", code)
					s.refusal(fmt.Sprintf("20 0E 00 %02X 0B 1F 0001 78 26 0001 61 0001 62", code), code, code)
					s.again()
				}
			}),
		rule("refusal-text", nil, ids("§3.2.2.3.9", "§3.2.2.3.10", "§3.2.2.3.16"),
			"the program sees the reason string, the user properties and the server reference of a refusal",
			func(s *script) {
				a := s.refusal("20 14 00 9D 11 1F 0003 776879 1C 0001 73 26 0001 61 0001 62", 0x9D, 0x9D)
				q := cmp.Or(a.Properties, &Properties{})
				if q.ReasonString != "why" {
					s.remark("no reason string")
				}
				if q.ServerReference != "s" {
					s.remark("no server reference")
				}
				if len(q.UserProperties) != 1 {
					s.remark("no user properties")
				}
			}),
		wrongConnack("connack-codes-listed", ids("§3.2.2.3"), ids("MQTT-3.2.2-8"),
			"CONNACK has only listed codes: with others connecting fails",
			packets{[]string{"20 02 00 06", "20 02 00 80"}, []string{"20 03 00 01 00", "20 03 00 8E 00"}}, wire.ProtocolError, wire.MalformedPacket),
		rule("closed-without-connack", ids("MQTT-3.2.2-6", "MQTT-3.1.4-1"), ids("§4.13.1"),
			"connecting fails when the server closes the connection after CONNECT",
			func(s *script) {
				c := s.begin(s.connect())
				s.accept(c).close()
				if a := c.wait(); a.OK {
					s.fails("connect reports success")
				}
			}),
		rule("garbage", ids("MQTT-4.8.0-1"), ids("§4.13.1"),
			"connecting fails at once when the server sends what is no MQTT",
			func(s *script) {
				c := s.begin(s.connect())
				p := s.accept(c)
				// As bytes of MQTT it is a PUBACK of 84 bytes, and all of it is here.
				p.write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 30\r\n\r\n" +
					"This server speaks HTTP alone.\r\n"))
				p.bye()
				if a := c.wait(); a.OK {
					s.fails("connect reports success")
				}
			}),
	}
}

// refusal refuses CONNECT and leaves the socket open. The client has to close it, and
// to report one of the codes.
func (s *script) refusal(bytes string, codes ...int) Answer {
	c := s.begin(s.connect())
	p := s.accept(c)
	p.raw(bytes)
	a := c.wait()
	if a.OK {
		s.fails("connect reports success")
	}
	if !slices.Contains(codes, a.Code) && !(codes[0] == -1 && a.Code >= 0x80) {
		s.remark("the program does not see the code")
	}
	for {
		f, ok := p.within(s.patience)
		if !ok {
			s.fails("leaves the connection open")
		}
		if f.ended {
			return a
		}
		if f.packet.Type() != wire.TypeDisconnect {
			s.fails("sends %v after the refusal", f)
		}
	}
}

func clientConnackLimits() []clientCheck {
	return []clientCheck{
		rule("maximum-qos", nil, ids("MQTT-3.2.2-11", "MQTT-3.2.2-9"),
			"nothing is published above the server's Maximum QoS",
			func(s *script) {
				for limit := range 2 {
					p := s.dial(s.connect(), &wire.Connack{MaximumQoS: new(wire.QoS(limit))})
					for qos := limit + 1; qos <= 2; qos++ {
						s.unsent(p, Operation{Op: "publish", Topic: s.topic("a"), QoS: qos, Wait: true},
							func(packet *wire.Publish) bool { return int(packet.QoS) > limit })
					}
					s.again()
				}
			}),
		rule("maximum-qos-subscribe", nil, ids("MQTT-3.2.2-10"),
			"a low Maximum QoS does not bound the QoS of a subscription",
			func(s *script) {
				p := s.dial(s.connect(), &wire.Connack{MaximumQoS: new(wire.AtMostOnce)})
				if packet := s.subscribe(p, s.topic("#"), 2); packet.Filters[0].QoS != 2 {
					s.remark("asks for QoS %d", packet.Filters[0].QoS)
				}
			}),
		rule("retain-unavailable", nil, ids("MQTT-3.2.2-14", "MQTT-3.2.2-13"),
			"nothing is published with Retain where the server has no retained messages",
			func(s *script) {
				p := s.dial(s.connect(), &wire.Connack{RetainAvailable: new(false)})
				s.unsent(p, Operation{Op: "publish", Topic: s.topic("a"), Retain: true, Wait: true},
					func(packet *wire.Publish) bool { return packet.Retain })
			}),
		unseen("session-expiry-of-server", nil, ids("§3.2.2.3.2"),
			"Session Expiry Interval in CONNACK replaces the client's", "the client may let Session Present decide"),
	}
}

// unsent has the client publish what it has to refuse, or to change so that it is not
// wrong.
func (s *script) unsent(p *peer, op Operation, wrong func(*wire.Publish) bool) {
	judge := func(f frame) {
		packet, ok := f.packet.(*wire.Publish)
		switch {
		case f.ended:
			s.remark("ends the connection")
		case !ok && f.packet == nil, ok && wrong(packet):
			s.fails("the client sends %v", f)
		case ok:
			s.remark("the message is changed")
			s.acknowledge(p, packet)
		}
	}
	c := s.begin(op)
	select {
	case f := <-p.frames.out:
		judge(f)
		c.wait()
	case a := <-c.answer:
		if c.take(a).OK {
			s.remark("reports no error")
		}
		for _, f := range p.until(p.mark()) {
			judge(f)
		}
	}
}

// acknowledge answers a PUBLISH to its end.
func (s *script) acknowledge(p *peer, packet *wire.Publish) {
	switch packet.QoS {
	case wire.AtLeastOnce:
		p.send(&wire.Puback{PacketID: packet.PacketID})
	case wire.ExactlyOnce:
		p.send(&wire.Pubrec{PacketID: packet.PacketID})
		want[*wire.Pubrel](p)
		p.send(&wire.Pubcomp{PacketID: packet.PacketID})
	}
}
