package conformance

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// method is the method of authentication of all checks.
const method = "echo"

// clientAuth has the statements about enhanced authentication.
func clientAuth() []clientCheck {
	return slices.Concat(clientAuthConnect(), clientAuthAgain())
}

// authenticating returns the operation that connects with enhanced authentication.
func (s *script) authenticating() Operation {
	op := s.connect()
	op.Auth = &Auth{Method: method, Data: []byte("first")}
	return op
}

// wrongAuth makes a check of answers that end an attempt with enhanced authentication.
func wrongAuth(name string, v5 []string, text string, answers ...string) clientCheck {
	return rule(name, nil, v5, text, func(s *script) {
		s.each(packets{nil, answers}, func(bytes string) {
			s.wrongAnswer(s.authenticating(), bytes, []wire.ReasonCode{wire.ProtocolError, wire.MalformedPacket})
		})
	})
}

// challenge sends a challenge and takes the client's answer.
func (s *script) challenge(p *peer, data string) {
	p.send(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: method, AuthenticationData: []byte(data)})
	switch a := want[*wire.Auth](p); {
	case a.ReasonCode != wire.ContinueAuthentication:
		s.fails("AUTH has 0x%02X", byte(a.ReasonCode))
	case a.AuthenticationMethod != method:
		s.fails("AUTH has the method %q", a.AuthenticationMethod)
	case string(a.AuthenticationData) != "re:"+data:
		s.fails("AUTH has the data %q", a.AuthenticationData)
	}
}

// authenticated connects a client with one challenge.
func (s *script) authenticated() *peer {
	c := s.begin(s.authenticating())
	p := s.accept(c)
	if p.connect.AuthenticationMethod != method || string(p.connect.AuthenticationData) != "first" {
		s.fails("CONNECT has the method %q and the data %q", p.connect.AuthenticationMethod, p.connect.AuthenticationData)
	}
	s.challenge(p, "one")
	p.send(&wire.Connack{AuthenticationMethod: method})
	c.succeeds()
	return p
}

func clientAuthConnect() []clientCheck {
	return []clientCheck{
		rule("auth-challenge", nil, ids("MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-3.15.1-1", "MQTT-3.15.2-1", "MQTT-3.1.2-30"),
			"the client answers each challenge with AUTH 0x18 and the method of CONNECT, and sends nothing else before CONNACK",
			func(s *script) {
				c := s.begin(s.authenticating())
				p := s.accept(c)
				s.challenge(p, "one")
				s.challenge(p, "two")
				p.send(&wire.Connack{AuthenticationMethod: method})
				c.succeeds()
				p.alive()
			}),
		rule("auth-refused", nil, ids("MQTT-4.12.0-1", "MQTT-4.12.0-4"),
			"the server may refuse the method at once, or at any step",
			func(s *script) {
				c := s.begin(s.authenticating())
				p := s.accept(c)
				p.send(&wire.Connack{ReasonCode: wire.BadAuthenticationMethod})
				c.failsWith(wire.BadAuthenticationMethod)
				s.again()
				c = s.begin(s.authenticating())
				p = s.accept(c)
				s.challenge(p, "one")
				p.send(&wire.Connack{ReasonCode: wire.NotAuthorized})
				c.failsWith(wire.NotAuthorized)
			}),
		wrongAuth("auth-success-before-connack", ids("MQTT-4.12.0-2"),
			"before CONNACK the server's AUTH has the code 0x18", "F0 09 00 07 15 0004 6563686F"),
		wrongAuth("auth-codes", ids("MQTT-3.15.2-1"),
			"the server's AUTH has the code 0x00 or 0x18", "0x19:F0 09 19 07 15 0004 6563686F", "0x01:F0 09 01 07 15 0004 6563686F", "0x80:F0 09 80 07 15 0004 6563686F"),
		wrongAuth("auth-method", ids("MQTT-4.12.0-5", "§3.15.2.2.2"),
			"each AUTH of the server, and CONNACK, have the method of CONNECT",
			"AUTH with another method:F0 06 18 04 15 0001 58", "AUTH without a method:F0 06 18 04 16 0001 58",
			"AUTH with two:F0 10 18 0E 15 0004 6563686F 15 0004 6563686F",
			"CONNACK with another method:20 07 00 00 04 15 0001 58", "CONNACK without a method:20 03 00 00 00"),
		wrongAuth("auth-header", ids("MQTT-3.15.1-1"), "the header bits of AUTH are 0", "F1 09 18 07 15 0004 6563686F"),
		wrong("auth-unasked", nil, ids("MQTT-4.12.0-6"),
			"without a method in CONNECT the server sends no AUTH",
			packets{nil, []string{"F0 09 18 07 15 0004 6563686F"}}, wire.ProtocolError),
		wrongConnack("auth-unasked-connack", nil, ids("MQTT-4.12.0-6"),
			"without a method in CONNECT the server sends no AUTH before CONNACK",
			packets{nil, []string{"F0 09 18 07 15 0004 6563686F"}}, wire.ProtocolError),
		unseen("auth-proof", nil, ids("§4.12"), "the client checks the data that come with CONNACK, and may leave at any step",
			"the line protocol has no authenticator that refuses"),
		unseen("auth-size", nil, ids("MQTT-3.15.2-2", "MQTT-3.15.2-3"),
			"reason string and user properties are left out of an AUTH that would become too large",
			"the line protocol has none for AUTH"),
	}
}

func clientAuthAgain() []clientCheck {
	return []clientCheck{
		refuses("reauthenticate-without-method", nil, ids("MQTT-4.12.0-7"),
			"without a method in CONNECT the client sends no AUTH", Operation{Op: "reauthenticate"}),
		rule("reauthenticate", nil, ids("MQTT-4.12.1-1", "§4.12.1"),
			"re-authentication begins with AUTH 0x19 and the method of CONNECT, goes on with 0x18, and other packets go on meanwhile",
			func(s *script) {
				p := s.authenticated()
				c := s.begin(Operation{Op: "reauthenticate"})
				if a := want[*wire.Auth](p); a.ReasonCode != wire.Reauthenticate || a.AuthenticationMethod != method {
					s.fails("AUTH has 0x%02X and the method %q", byte(a.ReasonCode), a.AuthenticationMethod)
				}
				p.alive()
				s.challenge(p, "two")
				p.send(&wire.Auth{ReasonCode: wire.Success, AuthenticationMethod: method})
				c.succeeds()
				p.alive()
			}),
		rule("reauthenticate-refused", nil, ids("MQTT-4.12.1-2"),
			"a re-authentication that fails ends the connection",
			func(s *script) {
				p := s.authenticated()
				c := s.begin(Operation{Op: "reauthenticate"})
				want[*wire.Auth](p)
				p.send(&wire.Disconnect{ReasonCode: wire.NotAuthorized})
				p.gone()
				if a := c.wait(); a.OK {
					s.fails("it reports success")
				}
			}),
		rule("reauthenticate-empty-auth", nil, ids("§3.15.2.1"),
			"an AUTH of length 0 reads as a success, without the method that AUTH must have: the client takes it or closes",
			func(s *script) {
				p := s.authenticated()
				c := s.begin(Operation{Op: "reauthenticate"})
				want[*wire.Auth](p)
				p.raw("F0 00")
				if before := p.until(p.mark()); len(before) > 0 {
					s.remark("ends the connection")
				}
				c.wait()
			}),
		rule("auth-out-of-turn", nil, ids("§4.12"),
			"an AUTH that nobody has asked for after CONNACK is a protocol error",
			func(s *script) {
				p := s.authenticated()
				p.send(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: method, AuthenticationData: []byte("x")})
				p.bye(wire.ProtocolError)
			}),
	}
}
