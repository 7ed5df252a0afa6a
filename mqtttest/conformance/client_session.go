package conformance

import (
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// clientSession has the statements about exchanges at QoS 1 and 2 and what is left of
// them when a connection ends.
func clientSession() []clientCheck {
	return slices.Concat(clientFlows(), clientResends(), clientLosses(), clientOrder())
}

func clientFlows() []clientCheck {
	return []clientCheck{
		rule("pubrel-answers-pubrec", ids("MQTT-4.3.3-1"), ids("MQTT-4.3.3-4"),
			"PUBREC below 0x80 is answered by PUBREL with its identifier",
			func(s *script) {
				p := s.open()
				c, packet := s.publishing(p, "a", 2)
				p.send(&wire.Pubrec{PacketID: packet.PacketID})
				if rel := want[*wire.Pubrel](p); rel.PacketID != packet.PacketID {
					s.fails("PUBREL has the identifier %d, not %d", rel.PacketID, packet.PacketID)
				}
				c.undone()
				p.send(&wire.Pubrec{PacketID: packet.PacketID})
				before := p.until(p.mark())
				if len(before) != 1 || before[0].packet == nil || before[0].packet.Type() != wire.TypePubrel {
					s.remark("a second PUBREC is not answered by PUBREL alone")
				}
				p.send(&wire.Pubcomp{PacketID: packet.PacketID})
				c.succeeds()
			}),
		rule("no-resend-on-live-connection", ids("MQTT-4.4.0-1"), ids("MQTT-4.4.0-1"),
			"nothing is sent again while the connection lasts",
			func(s *script) {
				p := s.open()
				s.publish(p, "a", 1)
				s.publish(p, "b", 2)
				if f, ok := p.within(3 * resetPatience / 2); ok {
					s.fails("want nothing, got %v", f)
				}
			}),
		rule("identifier-again-qos-1", ids("MQTT-4.3.2-2"), ids("MQTT-4.3.2-5"),
			"after PUBACK the same identifier means a new message, whatever DUP says",
			func(s *script) {
				p := s.listening()
				for _, rest := range []string{"1", "2"} {
					p.send(&wire.Publish{Topic: s.topic(rest), QoS: 1, PacketID: 5, Duplicate: rest == "2"})
					want[*wire.Puback](p)
					s.message(rest)
				}
			}),
		rule("repeated-qos-2", ids("MQTT-4.3.3-2"), ids("MQTT-4.3.3-10", "MQTT-4.3.3-11"),
			"until PUBREL, repeats of an identifier are answered with PUBREC and not delivered again; PUBREL is answered by PUBCOMP",
			func(s *script) {
				p := s.listening()
				for i := range 3 {
					p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: 7, Duplicate: i > 0})
					want[*wire.Pubrec](p)
				}
				for range 2 {
					p.send(&wire.Pubrel{PacketID: 7})
					want[*wire.Pubcomp](p)
				}
				p.send(&wire.Publish{Topic: s.topic("end"), QoS: 1, PacketID: 8})
				want[*wire.Puback](p)
				s.message("a")
				s.message("end")
			}),
		rule("identifier-again-qos-2", ids("MQTT-4.3.3-2"), ids("MQTT-4.3.3-12"),
			"after PUBCOMP the same identifier means a new message",
			func(s *script) {
				p := s.listening()
				for _, rest := range []string{"1", "2"} {
					p.send(&wire.Publish{Topic: s.topic(rest), QoS: 2, PacketID: 7})
					want[*wire.Pubrec](p)
					p.send(&wire.Pubrel{PacketID: 7})
					want[*wire.Pubcomp](p)
					s.message(rest)
				}
			}),
		rule("expired-receiver", nil, ids("MQTT-4.3.3-13"),
			"the exchange of a received message ends even if the message has expired",
			func(s *script) {
				p := s.listening()
				p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: 7, Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32(0))}})
				want[*wire.Pubrec](p)
				p.send(&wire.Pubrel{PacketID: 7})
				want[*wire.Pubcomp](p)
			}),
		unseen("rejected-identifier", nil, ids("MQTT-4.3.3-9"),
			"after PUBREC with a failure the same identifier is a new message", "the line protocol has no way to refuse a message"),
		unseen("transient-error", ids("MQTT-4.8.0-2"), nil,
			"a passing error while a packet is handled ends the connection", "the suite cannot make the library fail"),
		unseen("session-state", ids("MQTT-4.1.0-1", "MQTT-4.1.0-2"), ids("MQTT-4.1.0-1"),
			"state is kept while the connection lasts", "every check of exchanges shows it"),
	}
}

func clientResends() []clientCheck {
	return []clientCheck{
		rule("resend-qos-1", ids("MQTT-3.1.2-4", "MQTT-3.3.1-1", "MQTT-4.3.2-1", "MQTT-4.4.0-1"), ids("MQTT-3.1.2-23", "MQTT-3.3.1-1", "MQTT-4.3.2-3", "MQTT-4.4.0-1"),
			"a PUBLISH without PUBACK is sent again on the next connection of the session, with DUP and the same identifier",
			func(s *script) { s.resends(1) }),
		rule("resend-qos-2", ids("MQTT-3.3.1-1", "MQTT-4.3.3-1", "MQTT-4.4.0-1"), ids("MQTT-3.3.1-1", "MQTT-4.3.3-3", "MQTT-4.4.0-1"),
			"a PUBLISH without PUBREC is sent again on the next connection of the session, with DUP and the same identifier",
			func(s *script) { s.resends(2) }),
		rule("resend-pubrel", ids("MQTT-4.3.3-1", "MQTT-4.4.0-1"), ids("MQTT-4.3.3-5", "MQTT-4.3.3-6", "MQTT-4.4.0-1"),
			"a PUBREL without PUBCOMP is sent again on the next connection of the session, and its PUBLISH is not",
			func(s *script) {
				op := s.lasting()
				p := s.dial(op, &wire.Connack{})
				packet := s.publish(p, "a", 2)
				p.send(&wire.Pubrec{PacketID: packet.PacketID})
				want[*wire.Pubrel](p)
				p = s.resume(p, op, present())
				f := p.next()
				rel, ok := f.packet.(*wire.Pubrel)
				if !ok || rel.PacketID != packet.PacketID {
					s.fails("want PUBREL %d, got %v", packet.PacketID, f)
				}
				p.send(&wire.Pubcomp{PacketID: packet.PacketID})
				p.alive()
			}),
		rule("resend-content", nil, ids("§4.4"),
			"a PUBLISH that is sent again has its topic, payload, QoS, retain flag and properties",
			func(s *script) {
				op := s.lasting()
				p := s.dial(op, &wire.Connack{})
				s.do(Operation{Op: "publish", Topic: s.topic("a"), Payload: "x", QoS: 1, Retain: true, Properties: &Properties{ContentType: "t"}})
				want[*wire.Publish](p)
				p = s.resume(p, op, present())
				again := want[*wire.Publish](p)
				if again.Topic != s.topic("a") || string(again.Payload) != "x" || again.QoS != 1 || !again.Retain ||
					again.Properties == nil || again.Properties.ContentType != "t" {
					s.fails("it is sent again as %+v", *again)
				}
			}),
		rule("resend-of-expired", nil, ids("MQTT-4.3.3-7"),
			"message expiry does not end an exchange whose PUBLISH was sent",
			func(s *script) {
				op := s.lasting()
				p := s.dial(op, &wire.Connack{})
				s.do(Operation{Op: "publish", Topic: s.topic("a"), QoS: 2, Properties: &Properties{MessageExpiry: new(uint32(0))}})
				packet := want[*wire.Publish](p)
				p.send(&wire.Pubrec{PacketID: packet.PacketID})
				want[*wire.Pubrel](p)
				p = s.resume(p, op, present())
				want[*wire.Pubrel](p)
			}),
		rule("repeated-qos-2-resumed", ids("MQTT-4.3.3-2"), ids("MQTT-4.3.3-10"),
			"a message at QoS 2 that comes again on the next connection of the session is not delivered again",
			func(s *script) {
				op := s.lasting()
				p := s.dial(op, &wire.Connack{})
				s.subscribe(p, s.topic("#"), 2)
				p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: 7})
				want[*wire.Pubrec](p)
				p = s.resume(p, op, present())
				p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: 7, Duplicate: true})
				want[*wire.Pubrec](p)
				p.send(&wire.Pubrel{PacketID: 7})
				want[*wire.Pubcomp](p)
				p.send(&wire.Publish{Topic: s.topic("end"), QoS: 1, PacketID: 8})
				want[*wire.Puback](p)
				s.message("a") // with PUBLISH or with PUBREL
				s.message("end")
			}),
		rule("failure-not-resent", nil, ids("MQTT-4.4.0-2"),
			"a message that the server has refused is not sent again",
			func(s *script) {
				op := s.lasting()
				p := s.dial(op, &wire.Connack{})
				packet := s.publish(p, "a", 1)
				p.send(&wire.Puback{PacketID: packet.PacketID, ReasonCode: wire.QuotaExceeded})
				p.alive()
				s.resume(p, op, present()).alive()
			}),
		rule("protocol-error-keeps-session", nil, ids("§4.13.1"),
			"an error that ends the connection does not end the session: what is not acknowledged is sent again",
			func(s *script) {
				op := s.lasting()
				if !op.Reconnect {
					s.end(NotObserved, "the library does not reconnect by itself")
				}
				p := s.dial(op, &wire.Connack{})
				packet := s.publish(p, "a", 1)
				p.raw("00 00")
				p = s.accept(nil)
				p.grants = true
				p.send(present())
				if again := s.published(p, "a", 1); !again.Duplicate || again.PacketID != packet.PacketID {
					s.fails("it is sent again as %+v", *again)
				}
			}),
	}
}

// severalOpen has the client publish messages 1, 2 and so on, with one QoS each, and
// acknowledges none.
func (s *script) severalOpen(p *peer, qos ...int) {
	for i, q := range qos {
		s.do(Operation{Op: "publish", Topic: s.topic(fmt.Sprint(i + 1)), Payload: "x", QoS: q})
		f, ok := p.within(s.patience)
		if !ok && i > 0 {
			s.end(NotObserved, "the library sends one message at a time")
		}
		if _, is := f.packet.(*wire.Publish); !is {
			s.fails("want PUBLISH, got %v", f)
		}
	}
}

// resends breaks the connection under a message that has no answer.
func (s *script) resends(qos int) {
	op := s.lasting()
	p := s.dial(op, &wire.Connack{})
	packet := s.publish(p, "a", qos)
	p = s.resume(p, op, present())
	f, ok := p.within(s.patience)
	if !ok {
		s.fails("nothing is sent again")
	}
	again, ok := f.packet.(*wire.Publish)
	switch {
	case !ok:
		s.fails("want PUBLISH, got %v", f)
	case !again.Duplicate:
		s.fails("it is sent again without DUP")
	case again.PacketID != packet.PacketID:
		s.fails("it is sent again with the identifier %d, not %d", again.PacketID, packet.PacketID)
	}
}

func clientLosses() []clientCheck {
	return []clientCheck{
		rule("session-lost", nil, ids("MQTT-3.2.2-5"),
			"a client whose session the server does not have discards its state",
			func(s *script) {
				op := s.lasting()
				p := s.dial(op, &wire.Connack{})
				s.publish(p, "a", 1)
				rec := s.publish(p, "b", 2)
				p.send(&wire.Pubrec{PacketID: rec.PacketID})
				want[*wire.Pubrel](p)
				s.discarded(s.resume(p, op, &wire.Connack{}))
			}),
		rule("clean-start-discards", ids("MQTT-3.1.2-6"), ids("MQTT-3.1.2-4"),
			"with a clean start the client discards its own state, too",
			func(s *script) {
				op := s.connect()
				p := s.dial(op, &wire.Connack{})
				s.publish(p, "a", 1)
				s.discarded(s.resume(p, op, &wire.Connack{}))
			}),
		rule("expiry-0-ends-session", nil, ids("§3.1.2.11.2"),
			"with a session expiry of 0 the session ends with the connection",
			func(s *script) {
				op := s.lasting()
				op.Expiry = 0
				p := s.dial(op, &wire.Connack{})
				s.publish(p, "a", 1)
				s.discarded(s.resume(p, op, &wire.Connack{}))
			}),
		rule("clean-start-on-reconnect", nil, ids("MQTT-3.1.3-9", "§3.1.2.5"),
			"a client that reconnects by itself asks for its session, and brings its will again",
			func(s *script) {
				op := s.lasting()
				op.Will = &Will{Topic: s.topic("will"), Payload: "gone"}
				p := s.resume(s.dial(op, &wire.Connack{}), op, present())
				if p.connect.CleanStart {
					s.advised("CONNECT asks for a clean start")
				}
				if p.connect.Will == nil {
					s.advised("CONNECT has no will")
				}
			}),
		unseen("expiry-elapsed", nil, ids("§3.1.2.11.2"),
			"state may be dropped when the session has expired", "the client may keep it"),
	}
}

// discarded ends the check if the client goes on with exchanges of a session that is no
// more.
func (s *script) discarded(p *peer) {
	for _, f := range p.until(p.mark()) {
		switch packet := f.packet.(type) {
		case *wire.Publish:
			if packet.Duplicate {
				s.fails("the client sends PUBLISH %d with DUP", packet.PacketID)
			}
			s.remark("publishes again as new messages")
		case *wire.Pubrel:
			s.fails("the client sends PUBREL %d", packet.PacketID)
		}
	}
}

func clientOrder() []clientCheck {
	return []clientCheck{
		rule("resend-order", ids("MQTT-4.6.0-1"), ids("MQTT-4.6.0-1"),
			"messages are sent again in the order of their first sending",
			func(s *script) {
				op := s.lasting()
				p := s.dial(op, &wire.Connack{})
				s.severalOpen(p, 1, 1, 1)
				p = s.resume(p, op, present())
				for _, rest := range []string{"1", "2", "3"} {
					again := s.published(p, rest, 1)
					if !again.Duplicate {
						s.fails("message %s is sent again without DUP", rest)
					}
					s.acknowledge(p, again) // some send one at a time
				}
			}),
		rule("resend-order-mixed", ids("MQTT-4.6.0-1"), ids("MQTT-4.6.0-1"),
			"messages at QoS 1 and 2 are sent again in one order",
			func(s *script) {
				op := s.lasting()
				p := s.dial(op, &wire.Connack{})
				s.severalOpen(p, 1, 2, 1)
				p = s.resume(p, op, present())
				for i, rest := range []string{"1", "2", "3"} {
					again := s.published(p, rest, 1+i%2)
					// Some send one at a time.
					if again.QoS == wire.AtLeastOnce {
						p.send(&wire.Puback{PacketID: again.PacketID})
					}
				}
			}),
		rule("pubrec-order", ids("MQTT-4.6.0-3"), ids("MQTT-4.6.0-3"),
			"PUBREC come in the order of the messages",
			func(s *script) {
				p := s.listening()
				for id := uint16(1); id <= 50; id++ {
					p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: id})
				}
				for id := uint16(1); id <= 50; id++ {
					if rec := want[*wire.Pubrec](p); rec.PacketID != id {
						s.fails("PUBREC %d comes as number %d", rec.PacketID, id)
					}
				}
			}),
		rule("pubrel-order", ids("MQTT-4.6.0-4"), ids("MQTT-4.6.0-4"),
			"PUBREL come in the order of PUBREC",
			func(s *script) {
				p := s.open()
				var all []uint16
				for _, rest := range []string{"1", "2", "3"} {
					all = append(all, s.publish(p, rest, 2).PacketID)
				}
				order := []uint16{all[2], all[0], all[1]}
				for _, id := range order {
					p.send(&wire.Pubrec{PacketID: id})
				}
				for _, id := range order {
					if rel := want[*wire.Pubrel](p); rel.PacketID != id {
						s.fails("PUBREL %d comes before %d", rel.PacketID, id)
					}
				}
			}),
		rule("puback-order", ids("MQTT-4.6.0-2"), ids("MQTT-4.6.0-2"),
			"PUBACK come in the order of the messages",
			func(s *script) {
				p := s.listening()
				for id := uint16(50); id > 0; id-- {
					p.send(&wire.Publish{Topic: s.topic("a"), QoS: 1, PacketID: id})
				}
				for id := uint16(50); id > 0; id-- {
					if ack := want[*wire.Puback](p); ack.PacketID != id {
						s.fails("want PUBACK %d, got %d", id, ack.PacketID)
					}
				}
			}),
		rule("publish-order", ids("§4.6"), ids("§4.6"),
			"messages of one topic and QoS are sent in the order of publishing",
			func(s *script) {
				p := s.open()
				for i := range 20 {
					s.do(Operation{Op: "publish", Topic: s.topic("a"), Payload: string(rune('a' + i)), QoS: 1})
				}
				for i := range 20 {
					packet := want[*wire.Publish](p)
					if string(packet.Payload) != string(rune('a'+i)) {
						s.fails("message %q comes as number %d", packet.Payload, i+1)
					}
					p.send(&wire.Puback{PacketID: packet.PacketID})
				}
			}),
	}
}
