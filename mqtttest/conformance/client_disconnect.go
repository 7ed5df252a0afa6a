package conformance

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// clientDisconnect has the statements about DISCONNECT and server redirection.
func clientDisconnect() []clientCheck {
	return slices.Concat(clientDisconnectSends(), clientDisconnectReceives())
}

func clientDisconnectSends() []clientCheck {
	return []clientCheck{
		rule("disconnect-last", ids("MQTT-3.14.4-1", "MQTT-3.14.4-2"), ids("MQTT-3.14.4-1", "MQTT-3.14.4-2"),
			"DISCONNECT is the last packet, and the client closes the connection after it",
			func(s *script) {
				p := s.open()
				for range 20 {
					s.do(Operation{Op: "publish", Topic: s.topic("a"), Payload: "x"})
				}
				c := s.begin(Operation{Op: "disconnect"})
				for {
					f := p.next()
					switch packet := f.packet.(type) {
					case nil:
						s.remark("closes without DISCONNECT")
						return
					case *wire.Disconnect:
						if packet.ReasonCode != wire.Success {
							s.fails("DISCONNECT has 0x%02X", byte(packet.ReasonCode))
						}
						p.gone()
						c.wait()
						return
					}
				}
			}),
		rule("disconnect-with-will", nil, ids("§3.14.2.1", "MQTT-3.1.2-8"),
			"with 0x04 the client leaves and asks for its will",
			func(s *script) {
				p := s.open()
				c := s.begin(Operation{Op: "disconnect", Code: int(wire.DisconnectWithWill)})
				if packet := want[*wire.Disconnect](p); packet.ReasonCode != wire.DisconnectWithWill {
					s.fails("DISCONNECT has 0x%02X", byte(packet.ReasonCode))
				}
				p.gone()
				c.wait()
			}),
		rule("disconnect-codes", nil, ids("MQTT-3.14.2-1"),
			"a client does not send a code that is for servers",
			func(s *script) {
				p := s.open()
				c := s.begin(Operation{Op: "disconnect", Code: int(wire.SessionTakenOver)})
				if d := s.lastDisconnect(p, c); d != nil && d.ReasonCode == wire.SessionTakenOver {
					s.fails("DISCONNECT has 0x%02X", byte(d.ReasonCode))
				}
			}),
		rule("expiry-after-0", nil, ids("§3.14.2.2.2"),
			"after a session expiry of 0 in CONNECT, DISCONNECT does not set another",
			func(s *script) {
				p := s.open()
				c := s.begin(Operation{Op: "disconnect", Expiry: 60})
				if d := s.lastDisconnect(p, c); d != nil && d.SessionExpiryInterval != nil && *d.SessionExpiryInterval != 0 {
					s.fails("DISCONNECT has a session expiry of %d", *d.SessionExpiryInterval)
				}
			}),
		rule("expiry-at-the-end", nil, ids("§3.14.2.2.2"),
			"DISCONNECT can set another session expiry",
			func(s *script) {
				op := s.connect()
				op.Expiry = 3600
				p := s.dial(op, &wire.Connack{})
				c := s.begin(Operation{Op: "disconnect", Expiry: 60})
				if d := want[*wire.Disconnect](p); d.SessionExpiryInterval == nil || *d.SessionExpiryInterval != 60 {
					s.end(Cannot, "DISCONNECT does not have it")
				}
				p.gone()
				c.wait()
			}),
		unseen("disconnect-size", nil, ids("MQTT-3.14.2-3", "MQTT-3.14.2-4"),
			"reason string and user properties are left out of a DISCONNECT that would become too large",
			"the line protocol has no reason string for DISCONNECT"),
		unseen("server-reference-send", nil, ids("§3.14.2.2.5"), "a client does not send Server Reference",
			"the line protocol cannot ask for that"),
	}
}

func clientDisconnectReceives() []clientCheck {
	return []clientCheck{
		wrong("disconnect-header", nil, ids("MQTT-3.14.1-1"), "the header bits of DISCONNECT are 0",
			packets{nil, []string{"E1 00"}}, wire.MalformedPacket),
		wrong("disconnect-code-listed", nil, ids("MQTT-3.14.2-1"),
			"the connection ends with a DISCONNECT whose code is not for servers",
			packets{nil, []string{"0x04:E0 01 04", "0x01:E0 01 01"}}),
		wrong("disconnect-expiry", nil, ids("MQTT-3.14.2-2"),
			"a server's DISCONNECT has no Session Expiry Interval: the connection ends",
			packets{nil, []string{"E0 07 00 05 11 00000001"}}),
		wrong("disconnect-before-5", ids("§3.14"), nil,
			"before 5.0 a server sends no DISCONNECT: the connection ends",
			packets{[]string{"E0 00"}, nil}),
		wrongConnack("disconnect-before-connack", nil, ids("MQTT-3.14.0-1"),
			"a server sends no DISCONNECT before CONNACK: connecting fails",
			packets{nil, []string{"E0 01 89"}}),
		rule("disconnect-forms", nil, ids("§3.14.2.1", "§3.14.4", "MQTT-4.13.2-1", "MQTT-3.1.4-3"),
			"a client closes when it receives DISCONNECT, in each of its forms, and the program sees the code",
			func(s *script) {
				for _, form := range []struct {
					bytes string
					code  int
				}{{"E0 00", 0}, {"E0 01 8B", 0x8B}, {"E0 02 8B 00", 0x8B}, {"E0 01 8E", 0x8E}, {"E0 08 97 06 1F 0003 776879", 0x97}} {
					s.doing = form.bytes
					p := s.open()
					p.raw(form.bytes)
					p.goneAdvised()
					if e := s.event("disconnected"); e.Code != form.code {
						s.remark("the program does not see the code")
					}
					s.again()
				}
			}),
		rule("redirection", nil, ids("§4.11", "§3.2.2.3.16", "§3.14.2.2.5"),
			"the program sees that it is told to use another server, and which",
			func(s *script) {
				a := s.refusal("20 0D 00 9C 0A 1C 0007 612E6578616D70", 0x9C)
				if a.Properties == nil || a.Properties.ServerReference != "a.examp" {
					s.remark("no server reference in the refusal")
				}
				s.again()
				p := s.open()
				p.raw("E0 0C 9D 0A 1C 0007 612E6578616D70")
				p.goneAdvised()
				e := s.event("disconnected")
				if e.Code != 0x9D {
					s.remark("no code of DISCONNECT")
				}
				if e.Properties == nil || e.Properties.ServerReference != "a.examp" {
					s.remark("no server reference in DISCONNECT")
				}
			}),
		rule("redirection-without-server", nil, ids("§4.11"),
			"a redirection without a server reference is a refusal, and the client does not come back at once in a loop",
			func(s *script) { s.refusal("20 03 00 9C 00", 0x9C) }),
		rule("silent-error", ids("MQTT-4.8.0-1", "MQTT-3.1.2-8"), ids("§4.13.1", "MQTT-3.1.2-7"),
			"after a violation of the protocol the connection ends: before 5.0 without DISCONNECT, in 5.0 after one with the code",
			func(s *script) {
				p := s.open()
				p.raw("00 00")
				p.bye(wire.MalformedPacket, wire.ProtocolError)
				s.event("disconnected")
			}),
		wrong("several-errors", nil, ids("§4.13.2"),
			"with several errors in a packet any of them may be reported",
			packets{nil, []string{"30 0C 0001 61 08 03 0001 FF 03 0001 FF"}}, wire.MalformedPacket, wire.ProtocolError),
		rule("unread-disconnect", nil, ids("MQTT-4.13.2-1"),
			"the client closes after its DISCONNECT, also if the server does not read it",
			func(s *script) {
				p := s.open()
				p.raw("00 00")
				p.bye()
			}),
	}
}

// lastDisconnect returns the DISCONNECT that an operation sends; nil if it is refused,
// or ends the connection without one.
func (s *script) lastDisconnect(p *peer, c *call) *wire.Disconnect {
	select {
	case a := <-c.answer:
		if !c.take(a).OK {
			return nil
		}
		d, _ := p.next().packet.(*wire.Disconnect)
		if d == nil {
			s.remark("reports no error")
		}
		return d
	case f := <-p.frames.out:
		if f.packet == nil && !f.ended {
			s.fails("the client sends %v", f)
		}
		d, _ := f.packet.(*wire.Disconnect)
		return d
	}
}
