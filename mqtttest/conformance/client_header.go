package conformance

import (
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// clientHeader has the statements about the fixed header and packet identifiers.
func clientHeader() []clientCheck {
	return slices.Concat(clientFirstByte(), clientIdentifiers())
}

func clientFirstByte() []clientCheck {
	return []clientCheck{
		rule("header-send", ids("MQTT-2.2.2-1", "MQTT-3.6.1-1", "MQTT-3.8.1-1", "MQTT-3.10.1-1", "MQTT-3.14.1-1"),
			ids("MQTT-2.1.3-1", "MQTT-3.6.1-1", "MQTT-3.8.1-1", "MQTT-3.10.1-1", "MQTT-3.14.1-1", "MQTT-3.4.2-1", "MQTT-3.5.2-1"),
			"the reserved bits of the first byte have their values, and acknowledgements have listed codes only",
			tour),
		wrong("header-receive", ids("MQTT-2.2.2-2", "MQTT-3.6.1-1"), ids("MQTT-2.1.3-1", "MQTT-3.6.1-1"),
			"wrong reserved bits in a received packet end the connection",
			packets{
				[]string{"41 02 0001", "51 02 0001", "60 02 0001", "6A 02 0001", "71 02 0001", "91 03 0001 00", "B2 02 0001", "D1 00"},
				[]string{"41 02 0001", "51 02 0001", "60 02 0001", "6A 02 0001", "71 02 0001", "91 04 0001 00 00", "B2 04 0001 00 00", "D1 00"},
			}, wire.MalformedPacket),
		wrongConnack("header-connack", ids("MQTT-2.2.2-2"), ids("MQTT-2.1.3-1"),
			"wrong reserved bits in the first byte of CONNACK end the connection",
			packets{[]string{"21 02 00 00"}, []string{"21 03 00 00 00"}}, wire.MalformedPacket),
		wrong("type-0", ids("§2.2.1"), ids("§2.1.2"),
			"the packet type 0 does not exist, and 15 exists in 5.0 only",
			packets{[]string{"00 00", "F0 00"}, []string{"00 00"}}, wire.MalformedPacket, wire.ProtocolError),
		wrong("to-servers-only", ids("§2.2.1"), ids("§2.1.2"),
			"CONNECT, SUBSCRIBE, UNSUBSCRIBE and PINGREQ flow to servers only",
			packets{
				[]string{"10 0D 0004 4D515454 04 02 003C 0001 61", "82 06 0001 0001 61 00", "A2 05 0001 0001 61", "C0 00"},
				[]string{"10 0E 0004 4D515454 05 02 003C 00 0001 61", "82 07 0001 00 0001 61 00", "A2 06 0001 00 0001 61", "C0 00"},
			}, wire.ProtocolError, wire.MalformedPacket),
		rule("no-identifier-at-qos-0", ids("MQTT-2.3.1-5"), ids("MQTT-2.2.1-2", "MQTT-2.2.2-1"),
			"a PUBLISH at QoS 0 has no packet identifier, and a property block without properties is the byte 00",
			func(s *script) {
				p := s.open()
				c := s.begin(Operation{Op: "publish", Topic: "ab", Payload: "x", Wait: true})
				p.wantBytes(s.either("30 05 0002 6162 78", "30 06 0002 6162 00 78"))
				c.succeeds()
			}),
		rule("topic-first", ids("MQTT-3.3.2-1"), ids("MQTT-3.3.2-1"),
			"the topic is the first field of PUBLISH",
			func(s *script) {
				p := s.open()
				s.do(Operation{Op: "publish", Topic: "ab", Payload: "x", QoS: 1})
				f := p.next()
				id := fmt.Sprintf("%04X", packetID(f.packet))
				if text := s.either("32 07 0002 6162 "+id+" 78", "32 08 0002 6162 "+id+" 00 78"); string(f.raw) != string(unhex(text)) {
					s.fails("want %s, got %v", text, f)
				}
			}),
	}
}

// tour has the client send every packet that it has. The decoder refuses reserved bits
// and codes that are wrong.
func tour(s *script) {
	p := s.listening()
	for qos := range 3 {
		c, packet := s.publishing(p, "out", qos)
		s.acknowledge(p, packet)
		c.succeeds()
	}
	p.send(&wire.Publish{Topic: s.topic("in"), QoS: 1, PacketID: 5}, &wire.Publish{Topic: s.topic("in"), QoS: 2, PacketID: 6})
	want[*wire.Puback](p)
	want[*wire.Pubrec](p)
	p.send(&wire.Pubrel{PacketID: 6})
	want[*wire.Pubcomp](p)
	c := s.begin(Operation{Op: "unsubscribe", Filters: []Filter{{Filter: s.topic("#")}}})
	packet := want[*wire.Unsubscribe](p)
	p.send(ungranted(packet))
	c.succeeds()
	c = s.begin(Operation{Op: "disconnect"})
	want[*wire.Disconnect](p)
	p.gone()
	c.wait()
}

// ungranted returns the UNSUBACK that agrees.
func ungranted(p *wire.Unsubscribe) *wire.Unsuback {
	return &wire.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))}
}

func clientIdentifiers() []clientCheck {
	return []clientCheck{
		rule("identifiers", ids("MQTT-2.3.1-1", "MQTT-2.3.1-2", "MQTT-4.3.2-1", "MQTT-4.3.3-1"), ids("MQTT-2.2.1-3", "MQTT-4.3.2-1", "MQTT-4.3.3-1", "§2.2.1"),
			"each request takes an identifier that is not 0 and not in use; publishes, subscribes and unsubscribes have one pool",
			func(s *script) {
				p := s.open()
				used := map[uint16]bool{0: true}
				take := func(id uint16) {
					if used[id] {
						s.fails("the identifier %d is used while it is in use, or is 0", id)
					}
					used[id] = true
				}
				for range 5 {
					take(s.publish(p, "a", 1).PacketID)
					take(s.publish(p, "a", 2).PacketID)
				}
				c := s.begin(subscribeTo("b")(s))
				sub := want[*wire.Subscribe](p)
				take(sub.PacketID)
				p.send(granted(sub))
				c.succeeds()
				c = s.begin(unsubscribeFrom("b")(s))
				unsub := want[*wire.Unsubscribe](p)
				delete(used, sub.PacketID)
				take(unsub.PacketID)
				p.send(ungranted(unsub))
				c.succeeds()
			}),
		rule("identifier-held", ids("MQTT-2.3.1-3"), ids("§2.2.1"),
			"an identifier is free again after the last answer only",
			func(s *script) {
				p := s.open()
				held := s.publish(p, "held", 2).PacketID
				p.send(&wire.Pubrec{PacketID: held})
				want[*wire.Pubrel](p)
				for range 50 {
					packet := s.publish(p, "a", 1)
					if packet.PacketID == held {
						s.fails("the identifier %d is used again before PUBCOMP", held)
					}
					p.send(&wire.Puback{PacketID: packet.PacketID})
				}
			}),
		unseen("identifiers-exhausted", ids("§2.3.1"), ids("§2.2.1"),
			"with all 65535 identifiers in use a new request waits or fails", "it takes 65535 open requests"),
		rule("identifiers-of-both-sides", ids("MQTT-2.3.1-4"), ids("§2.2.1"),
			"each side has its own identifiers",
			func(s *script) {
				p := s.listening()
				c, packet := s.publishing(p, "out", 1)
				p.send(&wire.Publish{Topic: s.topic("in"), QoS: 1, PacketID: packet.PacketID})
				if ack := want[*wire.Puback](p); ack.PacketID != packet.PacketID {
					s.fails("PUBACK has the identifier %d, not %d", ack.PacketID, packet.PacketID)
				}
				s.message("in")
				c.undone()
				p.send(&wire.Puback{PacketID: packet.PacketID})
				c.succeeds()
			}),
		wrong("identifier-0", ids("MQTT-2.3.1-1"), ids("MQTT-2.2.1-4"),
			"a PUBLISH above QoS 0 has an identifier that is not 0",
			packets{
				[]string{"32 05 0001 61 0000", "34 05 0001 61 0000"},
				[]string{"32 06 0001 61 0000 00", "34 06 0001 61 0000 00"},
			}, wire.ProtocolError, wire.MalformedPacket),
		rule("identifier-repeated", ids("MQTT-2.3.1-6", "MQTT-4.3.2-2", "MQTT-4.3.3-2"), ids("MQTT-2.2.1-5", "MQTT-4.3.2-4", "MQTT-4.3.3-8", "MQTT-4.3.3-11"),
			"PUBACK, PUBREC and PUBCOMP repeat the identifier of the PUBLISH that they belong to",
			func(s *script) {
				p := s.listening()
				for _, id := range []uint16{1, 700, 65535} {
					p.send(&wire.Publish{Topic: s.topic("a"), QoS: 1, PacketID: id})
					if ack := want[*wire.Puback](p); ack.PacketID != id {
						s.fails("PUBACK has the identifier %d, not %d", ack.PacketID, id)
					}
					p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: id})
					if ack := want[*wire.Pubrec](p); ack.PacketID != id {
						s.fails("PUBREC has the identifier %d, not %d", ack.PacketID, id)
					}
					p.send(&wire.Pubrel{PacketID: id})
					if ack := want[*wire.Pubcomp](p); ack.PacketID != id {
						s.fails("PUBCOMP has the identifier %d, not %d", ack.PacketID, id)
					}
				}
			}),
		rule("suback-unknown", ids("MQTT-2.3.1-7", "MQTT-3.8.4-2"), ids("MQTT-2.2.1-6", "MQTT-3.8.4-2"),
			"SUBACK and UNSUBACK answer the request that has their identifier, and no other",
			func(s *script) {
				p := s.open()
				c := s.begin(subscribeTo("a")(s))
				packet := want[*wire.Subscribe](p)
				p.send(&wire.Suback{PacketID: packet.PacketID ^ 0x4000, ReasonCodes: []wire.ReasonCode{0}})
				p.send(&wire.Unsuback{PacketID: packet.PacketID ^ 0x2000, ReasonCodes: []wire.ReasonCode{0}})
				if before := p.until(p.mark()); len(before) > 0 {
					s.remark("ends the connection")
					c.wait()
					return
				}
				c.undone()
				p.send(granted(packet))
				c.succeeds()
			}),
	}
}
