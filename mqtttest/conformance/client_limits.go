package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

// clientLimits has the statements about the receive maximum, the maximum packet size
// and topic aliases.
func clientLimits() []clientCheck {
	return slices.Concat(clientQuota(), clientReceiveMaximum(), clientPacketSize(), clientAliases(), clientAliasesReceived())
}

// flood has the client publish count messages in the background.
func (s *script) flood(count int, qos func(i int) int) {
	for i := range count {
		s.do(Operation{Op: "publish", Topic: s.topic("a"), Payload: fmt.Sprint(i), QoS: qos(i)})
	}
}

func qos1(int) int { return 1 }

// only takes n messages, and ends the check if there is one more.
func (p *peer) only(n int) (all []*wire.Publish) {
	for len(all) < n {
		all = append(all, want[*wire.Publish](p))
	}
	p.alive()
	return all
}

func clientQuota() []clientCheck {
	limited := func(s *script, n uint16) *peer { return s.dial(s.connect(), &wire.Connack{ReceiveMaximum: n}) }
	return []clientCheck{
		rule("receive-maximum", nil, ids("MQTT-4.9.0-1", "MQTT-4.9.0-2", "MQTT-3.3.4-7"),
			"no more messages above QoS 0 are under way than the server's Receive Maximum",
			func(s *script) {
				p := limited(s, 2)
				s.flood(5, func(i int) int { return 1 + i%2 })
				p.only(2)
			}),
		rule("quota-puback", nil, ids("§4.9"),
			"PUBACK makes room for one message, also with a failure",
			func(s *script) {
				p := limited(s, 2)
				s.flood(5, qos1)
				all := p.only(2)
				p.send(&wire.Puback{PacketID: all[0].PacketID})
				p.only(1)
				p.send(&wire.Puback{PacketID: all[1].PacketID, ReasonCode: wire.QuotaExceeded})
				p.only(1)
			}),
		rule("quota-pubcomp", nil, ids("§4.9"),
			"PUBREC makes no room, PUBCOMP does",
			func(s *script) {
				p := limited(s, 1)
				s.flood(2, func(int) int { return 2 })
				id := p.only(1)[0].PacketID
				p.send(&wire.Pubrec{PacketID: id})
				want[*wire.Pubrel](p)
				p.alive()
				p.send(&wire.Pubcomp{PacketID: id, ReasonCode: wire.PacketIdentifierNotFound})
				p.only(1)
			}),
		rule("quota-pubrec-failure", nil, ids("§4.9"),
			"PUBREC with a failure makes room",
			func(s *script) {
				p := limited(s, 1)
				s.flood(2, func(int) int { return 2 })
				p.send(&wire.Pubrec{PacketID: p.only(1)[0].PacketID, ReasonCode: wire.PacketIdentifierInUse})
				p.only(1)
			}),
		rule("quota-strays", nil, ids("§4.9"),
			"acknowledgements of identifiers that are not in use make no room",
			func(s *script) {
				p := limited(s, 1)
				s.flood(2, qos1)
				stray := p.only(1)[0].PacketID ^ 0x4000
				p.send(&wire.Puback{PacketID: stray})
				p.alive()
			}),
		rule("quota-others", nil, ids("MQTT-4.9.0-3", "MQTT-3.3.4-8"),
			"at the Receive Maximum all other packets go out",
			func(s *script) {
				p := limited(s, 1)
				s.flood(2, qos1)
				p.only(1)
				s.subscribe(p, s.topic("#"), 2)
				p.send(&wire.Publish{Topic: s.topic("b"), QoS: 2, PacketID: 5})
				want[*wire.Pubrec](p)
				p.send(&wire.Pubrel{PacketID: 5})
				want[*wire.Pubcomp](p)
			}),
		rule("quota-resent", nil, ids("§4.9", "MQTT-4.9.0-1"),
			"the Receive Maximum of each connection holds for what is sent again, too",
			func(s *script) {
				op := s.lasting()
				p := s.dial(op, &wire.Connack{})
				s.flood(5, qos1)
				p.only(5)
				ack := present()
				ack.ReceiveMaximum = 2
				p = s.resume(p, op, ack)
				all := p.only(2)
				if string(all[0].Payload) != "0" || string(all[1].Payload) != "1" {
					s.fails("the first ones are %q and %q", all[0].Payload, all[1].Payload)
				}
			}),
	}
}

func clientReceiveMaximum() []clientCheck {
	return []clientCheck{
		rule("receive-maximum-exceeded", nil, ids("MQTT-3.3.4-9"),
			"more messages above QoS 0 than the client's Receive Maximum are an error",
			func(s *script) {
				op := s.connect()
				op.ReceiveMaximum = 2
				p := s.dial(op, &wire.Connack{})
				if n := p.connect.ReceiveMaximum; n != 2 {
					s.fails("CONNECT has a Receive Maximum of %d", n)
				}
				s.subscribe(p, s.topic("#"), 2)
				for id := range uint16(3) {
					p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: id + 1})
				}
				for range 3 {
					f := p.next()
					if f.packet == nil || f.packet.Type() != wire.TypePubrec {
						s.leaving(p, f, wire.ReceiveMaximumExceeded)
						return
					}
				}
				p.goesOn()
			}),
		rule("receive-maximum-kept", nil, ids("MQTT-3.3.4-9"),
			"repeats of an identifier and messages at QoS 0 do not count towards the Receive Maximum",
			func(s *script) {
				op := s.connect()
				op.ReceiveMaximum = 1
				p := s.dial(op, &wire.Connack{})
				s.subscribe(p, s.topic("#"), 2)
				p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: 1})
				want[*wire.Pubrec](p)
				p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: 1, Duplicate: true}, &wire.Publish{Topic: s.topic("b")})
				want[*wire.Pubrec](p)
				p.send(&wire.Pubrel{PacketID: 1})
				want[*wire.Pubcomp](p)
			}),
	}
}

// leaving judges a client that has begun to end the connection with f.
func (s *script) leaving(p *peer, f frame, codes ...wire.ReasonCode) {
	var said *wire.Disconnect
	for ; !f.ended; f = p.next() {
		if d, ok := f.packet.(*wire.Disconnect); ok {
			said = d
		}
	}
	p.left(said, codes)
}

func clientPacketSize() []clientCheck {
	return []clientCheck{
		rule("maximum-packet-size", nil, ids("MQTT-3.2.2-15", "§3.2.2.3.6"),
			"no packet is larger than the server's Maximum Packet Size, header included",
			func(s *script) {
				p := s.dial(s.connect(), &wire.Connack{MaximumPacketSize: 100})
				room := 100 - 2 - 2 - len(s.topic("a")) - 1 // header, length of the topic, properties
				c := s.begin(Operation{Op: "publish", Topic: s.topic("a"), Payload: strings.Repeat("x", room), Wait: true})
				if _, raw := wantRaw[*wire.Publish](p); len(raw) != 100 {
					s.fails("the packet has %d bytes", len(raw))
				}
				c.succeeds()
				p.refused(Operation{Op: "publish", Topic: s.topic("a"), Payload: strings.Repeat("x", room+1), Wait: true})
				p.refusedAlso(Operation{Op: "publish", Topic: s.topic("a"), Payload: strings.Repeat("x", room+1), QoS: 1, Wait: true})
			}),
		rule("maximum-packet-size-subscribe", nil, ids("§3.2.2.3.6", "MQTT-3.2.2-15"),
			"the server's Maximum Packet Size holds for SUBSCRIBE and UNSUBSCRIBE",
			func(s *script) {
				p := s.dial(s.connect(), &wire.Connack{MaximumPacketSize: 100})
				p.refused(subscribes(strings.Repeat("a", 100)))
				unsubscribe := subscribes(strings.Repeat("a", 100))
				unsubscribe.Op = "unsubscribe"
				p.refusedAlso(unsubscribe)
			}),
		rule("packet-too-large", nil, ids("MQTT-3.1.2-24", "MQTT-3.2.2-19", "MQTT-3.2.2-20", "MQTT-3.9.2-1", "MQTT-3.9.2-2", "MQTT-3.11.2-1", "MQTT-3.11.2-2"),
			"a packet larger than the client's Maximum Packet Size is an error, and one just as large is not",
			func(s *script) {
				p := s.sized(200)
				packet := &wire.Publish{Topic: s.topic("a")}
				packet.Payload = make([]byte, 200-packet.Size(wire.V5)-1) // the length takes a second byte
				p.send(packet)
				s.message("a")
				packet.Payload = append(packet.Payload, 0)
				p.send(packet)
				p.bye(wire.PacketTooLarge)
			}),
		rule("packet-claims-too-much", nil, ids("MQTT-3.1.2-24", "§3.1.2.11.4"),
			"a header that claims more than the client's Maximum Packet Size is an error at once",
			func(s *script) {
				p := s.sized(200)
				p.raw("30 FF FF FF 7F 0001 61 00")
				s.leaving(p, p.nextOr("waits for the rest"), wire.PacketTooLarge)
			}),
		unseen("server-drops-too-large", nil, ids("MQTT-3.1.2-25"), "the server drops messages that are too large for the client", "it binds the server"),
	}
}

// sized returns a connection with a Maximum Packet Size, whose client has subscribed to
// everything of the check.
func (s *script) sized(limit int) *peer {
	op := s.connect()
	op.MaximumPacketSize = limit
	p := s.dial(op, &wire.Connack{})
	if n := p.connect.MaximumPacketSize; n != uint32(limit) {
		s.fails("CONNECT has a Maximum Packet Size of %d", n)
	}
	s.subscribe(p, s.topic("#"), 0)
	return p
}

func clientAliases() []clientCheck {
	aliased := func(topic string, alias int) Operation {
		return Operation{Op: "publish", Topic: topic, Wait: true, Properties: &Properties{Alias: &alias}}
	}
	return []clientCheck{
		rule("alias-0", nil, ids("MQTT-3.3.2-8"), "the alias 0 is not sent",
			func(s *script) {
				p := s.dial(s.connect(), &wire.Connack{TopicAliasMaximum: 5})
				s.unsent(p, aliased(s.topic("a"), 0), func(packet *wire.Publish) bool { return false })
			}),
		rule("alias-maximum", nil, ids("MQTT-3.2.2-17", "MQTT-3.3.2-9"), "aliases stay within the server's maximum",
			func(s *script) {
				p := s.dial(s.connect(), &wire.Connack{TopicAliasMaximum: 2})
				s.unsent(p, aliased(s.topic("a"), 3), func(packet *wire.Publish) bool {
					return packet.Properties != nil && packet.Properties.TopicAlias > 2
				})
			}),
		rule("alias-automatic", nil, ids("MQTT-3.2.2-17", "MQTT-3.3.2-9", "§3.3.2.3.4"),
			"aliases that the library assigns stay within the server's maximum, and the topic is there whenever the server does not know it",
			func(s *script) {
				op := s.connect()
				op.AutoAlias = true
				p := s.dial(op, &wire.Connack{TopicAliasMaximum: 2})
				known := map[uint16]string{}
				used := false
				for _, rest := range []string{"1", "1", "2", "2", "3", "3", "1", "2", "3", "1"} {
					s.do(Operation{Op: "publish", Topic: s.topic(rest)})
					packet := want[*wire.Publish](p)
					alias := uint16(0)
					if packet.Properties != nil {
						alias = packet.Properties.TopicAlias
					}
					if alias > 2 {
						s.fails("the alias is %d", alias)
					}
					if packet.Topic != "" {
						known[alias] = packet.Topic
					}
					used = used || alias > 0
					if known[alias] != s.topic(rest) {
						s.fails("a message on %q means %q to the server", s.topic(rest), known[alias])
					}
				}
				if !used {
					s.remark("no alias is used")
				}
			}),
		rule("alias-none", nil, ids("MQTT-3.2.2-18"), "without a maximum of the server no alias is sent",
			func(s *script) {
				op := s.connect()
				op.AutoAlias = true
				p := s.dial(op, &wire.Connack{})
				for range 3 {
					s.do(Operation{Op: "publish", Topic: s.topic("a")})
					if packet := want[*wire.Publish](p); packet.Properties != nil && packet.Properties.TopicAlias > 0 {
						s.fails("the alias is %d", packet.Properties.TopicAlias)
					}
				}
			}),
		rule("alias-resent", nil, ids("MQTT-3.3.2-7", "§4.4"), "a message that is sent again on another connection has its topic",
			func(s *script) {
				op := s.lasting()
				op.AutoAlias = true
				ack := &wire.Connack{TopicAliasMaximum: 2}
				p := s.dial(op, ack)
				for range 3 {
					s.do(Operation{Op: "publish", Topic: s.topic("a"), QoS: 1})
					want[*wire.Publish](p)
				}
				again := present()
				again.TopicAliasMaximum = 2
				p = s.resume(p, op, again)
				if packet := want[*wire.Publish](p); packet.Topic != s.topic("a") {
					s.fails("the topic is %q", packet.Topic)
				}
			}),
	}
}

func clientAliasesReceived() []clientCheck {
	// aliases makes a check of packets on a connection that allows aliases up to 5.
	aliases := func(name string, v5 []string, text string, code wire.ReasonCode, maximum int, texts ...string) clientCheck {
		return rule(name, nil, v5, text, func(s *script) {
			s.each(packets{nil, texts}, func(bytes string) {
				op := s.connect()
				op.TopicAliasMaximum = maximum
				p := s.dial(op, &wire.Connack{})
				p.raw(bytes)
				p.bye(code, wire.ProtocolError)
			})
		})
	}
	return []clientCheck{
		aliases("alias-above-maximum", ids("MQTT-3.1.2-26", "MQTT-3.3.2-11"), "an alias above the client's maximum, or 0, is an error",
			wire.TopicAliasInvalid, 5, "6:30 07 0001 61 03 23 0006", "0:30 07 0001 61 03 23 0000"),
		aliases("alias-unallowed", ids("MQTT-3.1.2-27"), "an alias is an error where the client allows none",
			wire.TopicAliasInvalid, 0, "with a topic:30 07 0001 61 03 23 0001"),
		aliases("alias-unallowed-alone", ids("MQTT-3.1.2-27"), "an alias without a topic is an error where the client allows none",
			wire.TopicAliasInvalid, 0, "30 06 0000 03 23 0001"),
		aliases("alias-unknown", ids("§3.3.4"), "an alias that was not set is an error",
			wire.ProtocolError, 5, "30 06 0000 03 23 0001"),
		rule("alias-received", nil, ids("MQTT-3.3.2-10", "§3.3.4", "§3.3.2.3.4"),
			"every alias up to the client's maximum works, and may get another topic",
			func(s *script) {
				op := s.connect()
				op.TopicAliasMaximum = 65535
				p := s.dial(op, &wire.Connack{})
				if n := p.connect.TopicAliasMaximum; n != 65535 {
					s.remark("the maximum is %d", n)
				}
				top := p.connect.TopicAliasMaximum
				s.subscribe(p, s.topic("#"), 0)
				for _, step := range []struct {
					topic string
					alias uint16
					seen  string
				}{{s.topic("a"), 1, "a"}, {"", 1, "a"}, {s.topic("b"), top, "b"}, {"", 1, "a"}, {s.topic("c"), 1, "c"}, {"", 1, "c"}, {"", top, "b"}} {
					p.send(&wire.Publish{Topic: step.topic, Properties: &wire.PublishProperties{TopicAlias: step.alias}})
					s.message(step.seen)
				}
			}),
		rule("alias-of-repeat", nil, ids("§3.3.2.3.4"),
			"a repeat at QoS 2 that is not delivered sets its alias all the same",
			func(s *script) {
				op := s.connect()
				op.TopicAliasMaximum = 5
				p := s.dial(op, &wire.Connack{})
				s.subscribe(p, s.topic("#"), 2)
				packet := &wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: 7}
				p.send(packet)
				want[*wire.Pubrec](p)
				packet.Duplicate, packet.Properties = true, &wire.PublishProperties{TopicAlias: 1}
				p.send(packet)
				want[*wire.Pubrec](p)
				p.send(&wire.Pubrel{PacketID: 7})
				want[*wire.Pubcomp](p)
				p.send(&wire.Publish{Properties: &wire.PublishProperties{TopicAlias: 1}, Payload: []byte("second")})
				s.message("a")
				if e := s.message("a"); string(e.PayloadBase64) != "second" {
					s.fails("the payload is %q", e.PayloadBase64)
				}
			}),
		rule("alias-forgotten", nil, ids("MQTT-3.3.2-7"),
			"the client forgets aliases with the connection",
			func(s *script) {
				op := s.lasting()
				op.TopicAliasMaximum = 5
				p := s.dial(op, &wire.Connack{})
				p.send(&wire.Publish{Topic: s.topic("a"), Properties: &wire.PublishProperties{TopicAlias: 1}})
				p.alive()
				p = s.resume(p, op, present())
				p.raw("30 06 0000 03 23 0001")
				p.bye(wire.ProtocolError, wire.TopicAliasInvalid)
			}),
	}
}
