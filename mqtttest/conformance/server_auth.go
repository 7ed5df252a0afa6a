package conformance

import (
	"github.com/seed65a45251/mqtt/wire"
)

func serverAuthChecks() []serverCheck {
	return []serverCheck{
		of("unknown authentication method", "", "4.12.0-1", "a CONNECT with an unknown authentication method is refused", (*trial).unknownMethod),
		of("AUTH without method", "", "4.12.0-7", "an AUTH from a client that named no method ends the connection", (*trial).uninvitedAuth),
		of("no AUTH unasked", "", "4.12.0-6", "a client that named no method gets no AUTH, and no method in CONNACK", (*trial).noAuthUnasked),
		of("reserved bits of AUTH", "", "3.15.1-1", "an AUTH with other header bits ends the connection", (*trial).authBits),
		of("authentication", "", "4.12.0-2 4.12.0-5 3.15.2-2 3.15.2-3", "AUTH of the server continues with the client's method, and CONNACK names it", (*trial).authenticates),
		of("failed authentication", "", "4.12.0-4", "a wrong proof is refused", (*trial).failedAuthentication),
		of("packets before CONNACK", "", "3.1.2-30", "while authentication goes on, other packets end the connection", (*trial).packetsWhileAuthenticating),
		of("authentication again", "", "4.12.1-1", "AUTH with Re-authenticate and the same method is answered; another method ends the connection", (*trial).authenticatesAgain),
		of("failed authentication again", "", "4.12.1-2", "a wrong proof in a re-authentication ends the connection", (*trial).failedAgain),
	}
}

func (t *trial) unknownMethod() {
	p := t.dial()
	p.raw(t.connectBytes(flagClean, block([]byte{0x15}, text("no-such-method")), text(t.id("a"))))
	reason, told := p.closed("an authentication method that does not exist")
	if told && reason != wire.BadAuthenticationMethod && reason != wire.NotAuthorized {
		t.remark("the reason is %v", reason)
	}
}

func (t *trial) uninvitedAuth() {
	p := t.joinAs("a")
	p.send(&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "no-such-method"})
	p.refused("an AUTH from a client that named no method", wire.ProtocolError)
}

func (t *trial) noAuthUnasked() {
	p := t.joinAs("a")
	if m := p.connack.AuthenticationMethod; m != "" {
		t.fail("CONNACK names the method %q", m)
	}
	p.alive()
	for _, packet := range p.inbox {
		if packet.Type() == wire.TypeAuth {
			t.fail("AUTH comes unasked")
		}
	}
}

func (t *trial) authBits() {
	p := t.joinAs("a")
	p.raw(framed(0xF1, []byte{0x19}, block([]byte{0x15}, text("x"))))
	p.refused("an AUTH with the header bits 0001", wire.MalformedPacket, wire.ProtocolError)
}

// enhanced connects with the server's method. If the script is given, it takes over when the first
// AUTH of the server has come.
func (t *trial) enhanced(instead func(p *caller, challenge *wire.Auth)) *caller {
	if t.s.Method == "" {
		t.unobserved("the suite knows no authentication method of the server")
	}
	c := t.connect(t.id("a"))
	c.AuthenticationMethod, c.AuthenticationData = t.s.Method, t.s.Prove(nil)
	p := t.dial()
	p.send(c)
	for {
		packet, err := p.read(t.s.Patience)
		switch packet := packet.(type) {
		case *wire.Auth:
			t.checkChallenge(packet)
			if instead != nil {
				instead(p, packet)
				return nil
			}
			p.send(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: t.s.Method, AuthenticationData: t.s.Prove(packet.AuthenticationData)})
		case *wire.Connack:
			if packet.ReasonCode.Failed() {
				t.fail("refuses the proof with %v", packet.ReasonCode)
			}
			if packet.AuthenticationMethod != t.s.Method {
				t.fail("CONNACK names the method %q, not %q", packet.AuthenticationMethod, t.s.Method)
			}
			if instead != nil {
				t.unobserved("the method has no AUTH of the server")
			}
			p.connack = packet
			return p
		case nil:
			t.fail("no answer in the authentication: %s", p.ending(err))
		default:
			t.fail("%v comes before CONNACK", packet.Type())
		}
	}
}

func (t *trial) checkChallenge(a *wire.Auth) {
	if a.ReasonCode != wire.ContinueAuthentication {
		t.fail("AUTH has the code %v", a.ReasonCode)
	}
	if a.AuthenticationMethod != t.s.Method {
		t.fail("AUTH names the method %q, not %q", a.AuthenticationMethod, t.s.Method)
	}
}

func (t *trial) authenticates() { t.enhanced(nil).alive() }

func (t *trial) failedAuthentication() {
	t.enhanced(func(p *caller, _ *wire.Auth) {
		p.send(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: t.s.Method, AuthenticationData: []byte("wrong proof")})
		p.closed("a wrong proof")
	})
}

func (t *trial) packetsWhileAuthenticating() {
	watch := t.fresh("w", filter(t.topic("a"), 0))
	t.enhanced(func(p *caller, _ *wire.Auth) {
		p.send(&wire.Publish{Topic: t.topic("a"), Payload: []byte("smuggled")})
		p.closed("a PUBLISH before the authentication is complete")
	})
	watch.quiet("its publisher was not authenticated")
}

func (t *trial) reauthenticate(p *caller, method string, data []byte) {
	p.send(&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: method, AuthenticationData: data})
}

func (t *trial) authenticatesAgain() {
	p := t.enhanced(nil)
	t.reauthenticate(p, t.s.Method, t.s.Prove(nil))
	for {
		a := take[*wire.Auth](p)
		if a.ReasonCode == wire.Success {
			break
		}
		t.checkChallenge(a)
		p.alive() // other packets are not held up
		p.send(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: t.s.Method, AuthenticationData: t.s.Prove(a.AuthenticationData)})
	}
	t.reauthenticate(p, t.s.Method+"-other", nil)
	p.refused("a re-authentication with another method", wire.ProtocolError, wire.BadAuthenticationMethod)
}

func (t *trial) failedAgain() {
	p := t.enhanced(nil)
	t.reauthenticate(p, t.s.Method, t.s.Prove(nil))
	take[*wire.Auth](p)
	p.send(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: t.s.Method, AuthenticationData: []byte("wrong proof")})
	p.refused("a wrong proof", wire.NotAuthorized, wire.BadUserNameOrPassword)
}
