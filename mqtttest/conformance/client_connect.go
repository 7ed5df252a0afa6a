package conformance

import (
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// clientConnect has the statements about CONNECT.
func clientConnect() []clientCheck {
	return slices.Concat(clientConnectHead(), clientConnectPayload(), clientConnectRefuses())
}

func clientConnectHead() []clientCheck {
	return []clientCheck{
		rule("connect-first", ids("MQTT-3.1.0-1", "MQTT-3.1.2-1", "MQTT-3.1.2-2"), ids("MQTT-3.1.0-1", "MQTT-3.1.2-1", "MQTT-3.1.2-2"),
			"CONNECT is the first packet; it has the protocol name MQTT and the number of the version",
			func(s *script) {
				p := s.open()
				head := fmt.Sprintf("0004 4D515454 %02X", byte(s.version))
				if at := slices.Index(p.first, 0x00); string(p.first[at:at+7]) != string(unhex(head)) {
					s.fails("CONNECT begins with %x", p.first[at:at+7])
				}
			}),
		rule("connect-once", ids("MQTT-3.1.0-2"), ids("MQTT-3.1.0-2"),
			"one CONNECT per connection",
			func(s *script) {
				p := s.open()
				c := s.begin(s.connect())
				incoming := s.incoming()
				for {
					select {
					case f := <-p.frames.out:
						if f.packet != nil && f.packet.Type() == wire.TypeConnect {
							s.fails("a second CONNECT on the same connection")
						}
					case a := <-incoming:
						q := newPeer(s, a.conn)
						s.peers = append(s.peers, q)
						want[*wire.Connect](q)
						q.send(&wire.Connack{})
						c.wait()
						return
					case a := <-c.answer:
						c.take(a)
						return
					}
				}
			}),
		rule("version-refused", ids("MQTT-3.1.2-2", "MQTT-3.2.2-5"), ids("MQTT-3.1.2-2", "MQTT-3.2.2-7"),
			"a client copes with a server that refuses its version, or that closes without a word",
			func(s *script) {
				for _, answer := range s.of(packets{[]string{"20 02 00 01", ""}, []string{"20 03 00 84 00", "20 02 00 01", ""}}) {
					c := s.begin(s.connect())
					p := s.accept(c)
					p.write(unhex(answer))
					if answer == "" {
						p.close()
					} else {
						p.bye()
					}
					if a := c.wait(); a.OK {
						s.fails("connect reports success after %q", answer)
					}
					s.again()
				}
			}),
		rule("connect-flags", ids("MQTT-3.1.2-3", "MQTT-3.1.2-11", "MQTT-3.1.2-13", "MQTT-3.1.2-15", "MQTT-3.1.2-18", "MQTT-3.1.2-20"),
			ids("MQTT-3.1.2-3", "MQTT-3.1.2-11", "MQTT-3.1.2-13", "MQTT-3.1.2-16", "MQTT-3.1.2-18"),
			"without will, user name and password their flags and fields are absent, and the reserved flag is 0",
			func(s *script) {
				p := s.open()
				at := slices.Index(p.first, 0x00)
				if flags := p.first[at+7]; flags&^0x02 != 0 {
					s.fails("the flags are 0x%02X", flags)
				}
			}),
		rule("connack-timeout", ids("§3.2"), ids("§3.2"),
			"a client gives up when no CONNACK comes within a reasonable time",
			func(s *script) {
				c := s.begin(s.connect())
				p := s.accept(c)
				p.mute.Store(true)
				if f, ok := p.within(2 * s.patience); !ok || !f.ended {
					s.end(NotObserved, "it waits for more than %v", 2*s.patience)
				}
				if a := c.wait(); a.OK {
					s.fails("connect reports success without CONNACK")
				}
			}),
	}
}

func clientConnectPayload() []clientCheck {
	return []clientCheck{
		rule("will-fields", ids("MQTT-3.1.2-9"), ids("MQTT-3.1.2-9", "§3.1.3.2", "§3.1.3.2.2"),
			"with a will its flag is set, and properties, topic and payload follow",
			func(s *script) {
				op := s.connect()
				op.Will = &Will{Topic: s.topic("will"), Payload: "gone", QoS: 1, Retain: true}
				if s.v5() {
					op.Will.Delay, op.Expiry = 30, 60
				}
				w := s.dial(op, &wire.Connack{}).connect.Will
				switch {
				case w == nil:
					s.fails("CONNECT has no will")
				case w.Topic != s.topic("will"), string(w.Payload) != "gone", w.QoS != 1, !w.Retain:
					s.fails("the will is %+v", *w)
				case s.v5() && w.DelayInterval != 30:
					s.fails("the will's delay is %d, not 30", w.DelayInterval)
				}
			}),
		rule("will-properties", nil, ids("§3.1.3.2.3", "§3.1.3.2.4", "§3.1.3.2.5", "§3.1.3.2.8"),
			"the properties of a will are sent as the program gives them",
			func(s *script) {
				op := s.connect()
				op.Will = &Will{Topic: s.topic("will"), Payload: "gone", Properties: &Properties{
					PayloadFormat: new(1), MessageExpiry: new(uint32(60)), ContentType: "text/plain",
					UserProperties: [][2]string{{"a", "1"}},
				}}
				w := s.dial(op, &wire.Connack{}).connect.Will
				if w == nil || !w.PayloadFormatUTF8 || w.MessageExpiryInterval == nil || *w.MessageExpiryInterval != 60 ||
					w.ContentType != "text/plain" || len(w.UserProperties) != 1 {
					s.fails("the will is %+v", w)
				}
			}),
		rule("credentials", ids("MQTT-3.1.2-19", "MQTT-3.1.2-21", "MQTT-3.1.3-1", "MQTT-3.1.3-3"),
			ids("MQTT-3.1.2-17", "MQTT-3.1.2-19", "MQTT-3.1.3-1", "MQTT-3.1.3-3"),
			"client identifier, will, user name and password come in this order, each exactly when its flag is set",
			func(s *script) {
				op := s.connect()
				op.Username, op.Password = new("user"), new("password")
				op.Will = &Will{Topic: s.topic("will"), Payload: "gone"}
				c := s.dial(op, &wire.Connack{}).connect
				if c.ClientID != s.id || c.Username == nil || *c.Username != "user" || string(c.Password) != "password" || c.Will == nil {
					s.fails("CONNECT is %+v", *c)
				}
			}),
		rule("credentials-empty", ids("MQTT-3.1.2-19", "MQTT-3.1.2-21"), ids("MQTT-3.1.2-17", "MQTT-3.1.2-19"),
			"an empty user name and an empty password are sent",
			func(s *script) {
				op := s.connect()
				op.Username, op.Password = new(""), new("")
				c := s.dial(op, &wire.Connack{}).connect
				if c.Username == nil {
					s.remark("the empty user name is left out")
				}
				if c.Password == nil {
					s.remark("the empty password is left out")
				}
			}),
		rule("username-alone", ids("MQTT-3.1.2-19", "MQTT-3.1.2-20"), ids("MQTT-3.1.2-17", "MQTT-3.1.2-18"),
			"a user name without a password has no password flag",
			func(s *script) {
				op := s.connect()
				op.Username = new("user")
				if c := s.dial(op, &wire.Connack{}).connect; c.Username == nil || c.Password != nil {
					s.fails("CONNECT is %+v", *c)
				}
			}),
		rule("password-alone-5", nil, ids("MQTT-3.1.2-16", "MQTT-3.1.2-19"),
			"a password needs no user name in 5.0",
			func(s *script) {
				op := s.connect()
				op.Password = new("password")
				c := s.begin(op)
				incoming := s.incoming()
				select {
				case a := <-c.answer:
					c.take(a)
					s.end(Cannot, "connect: %s", a.Error)
				case a := <-incoming:
					p := newPeer(s, a.conn)
					s.peers = append(s.peers, p)
					connect := want[*wire.Connect](p)
					p.send(&wire.Connack{})
					c.wait()
					if connect.Username != nil {
						s.remark("an empty user name goes with it")
					} else if string(connect.Password) != "password" {
						s.end(Cannot, "the password is left out")
					}
				}
			}),
		rule("client-id-empty", ids("MQTT-3.1.3-3"), ids("MQTT-3.1.3-3", "MQTT-3.1.3-6"),
			"the client identifier is always present, an empty one too",
			func(s *script) {
				op := s.connect()
				op.ID = ""
				ack := &wire.Connack{}
				if s.v5() {
					ack.AssignedClientID = "auto1"
				}
				p := s.dial(op, ack)
				if id := p.connect.ClientID; id != "" {
					s.remark("the library makes the identifier %d bytes long", len(id))
				}
			}),
		rule("other-client-id", ids("MQTT-3.1.3-2"), ids("MQTT-3.1.3-2"),
			"the state of one client identifier is not used for another",
			func(s *script) {
				op := s.lasting()
				op.Reconnect = false
				p := s.dial(op, &wire.Connack{})
				s.publish(p, "a", 1)
				p.reset()
				op.ID = s.id + "other"
				c := s.begin(op)
				p = s.accept(c)
				p.grants = true
				p.send(&wire.Connack{})
				c.wait()
				for _, f := range p.until(p.mark()) {
					if packet, ok := f.packet.(*wire.Publish); ok && packet.Duplicate {
						s.fails("the client repeats %v of the other session", f)
					}
				}
			}),
	}
}

func clientConnectRefuses() []clientCheck {
	// refuses makes a check of a CONNECT that must not be sent.
	refuses := func(name string, v311, v5 []string, text string, change ...func(*Operation)) clientCheck {
		return rule(name, v311, v5, text, func(s *script) {
			for _, c := range change {
				op := s.connect()
				c(&op)
				s.refusedConnect(op)
				s.again()
				if err := s.listen(); err != nil {
					s.end(NotObserved, "%v", err)
				}
			}
		})
	}
	will := func(w Will) func(*Operation) { return func(op *Operation) { op.Will = &w } }
	return []clientCheck{
		refuses("will-qos-3", ids("MQTT-3.1.2-14"), ids("MQTT-3.1.2-12"), "the will's QoS is not 3",
			will(Will{Topic: "a", QoS: 3})),
		refuses("will-topic", ids("MQTT-3.1.3-10"), ids("MQTT-3.1.3-11"),
			"the will's topic is a UTF-8 string without wildcards, and not empty",
			will(Will{Topic: "a/#"}), will(Will{Topic: "a/+"}), will(Will{Topic: "a\x00"}), will(Will{})),
		refuses("client-id-text", ids("MQTT-3.1.3-4"), ids("MQTT-3.1.3-4"), "the client identifier is a UTF-8 string without U+0000",
			func(op *Operation) { op.ID = "a\x00b" }),
		refuses("username-text", ids("MQTT-3.1.3-11"), ids("MQTT-3.1.3-12"), "the user name is a UTF-8 string without U+0000",
			func(op *Operation) { op.Username = new("a\x00b") }),
		refuses("password-alone", ids("MQTT-3.1.2-22"), nil, "a password needs a user name before 5.0",
			func(op *Operation) { op.Password = new("password") }),
		refuses("client-id-empty-session", ids("MQTT-3.1.3-7"), nil, "an empty client identifier needs a clean session",
			func(op *Operation) { op.ID, op.Clean = "", false }),
		unseen("client-id-generated", ids("MQTT-3.1.3-5"), ids("MQTT-3.1.3-5"),
			"identifiers of 1 to 23 letters and digits are accepted by all servers", "the suite chooses the identifiers"),
		unseen("before-connack", ids("§3.1.4"), ids("§3.1.4"),
			"a client may send packets before CONNACK comes", "the answer to connect comes after CONNACK"),
	}
}
