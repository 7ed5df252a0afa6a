package broker

import (
	"context"
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// enhanced is the enhanced authentication of a connection.
type enhanced struct {
	by       EnhancedAuthenticator // nil: CONNECT named no method
	method   string
	again    Exchange // re-authentication under way; nil: none
	login    *Login   // of again
	deadline time.Time
}

// chooseMethod finds the authenticator for the method that CONNECT names.
func (c *conn) chooseMethod(method string) error {
	if method == "" {
		return nil
	}
	for _, a := range c.hub.cfg.EnhancedAuthenticators {
		if c.hub.hooks.method(a, c.peer) == method {
			c.enhanced.by, c.enhanced.method = a, method
			return nil
		}
	}
	// [MQTT-4.12.0-1]
	return &refusal{code: wire.BadAuthenticationMethod, text: "authentication method is not known"}
}

// exchange authenticates a client that connects. It returns the last data for it.
func (c *conn) exchange(ctx context.Context, l *Login, data []byte) ([]byte, Decision, error) {
	x := c.hub.hooks.beginExchange(c.enhanced.by, l)
	for {
		answer, d := c.hub.hooks.nextStep(ctx, x, c.peer, data)
		switch {
		case d.verdict == allowed:
			return answer, d, nil
		case d.verdict == denied:
			// [MQTT-4.12.0-4]
			return nil, d, d.refusal(connectReasons...)
		case ctx.Err() != nil:
			return nil, d, context.Cause(ctx)
		}
		if err := c.challenge(answer); err != nil {
			return nil, d, err
		}
		var err error
		if data, err = c.readAuth(); err != nil {
			return nil, d, err
		}
	}
}

// challenge sends data to a client that has no session yet.
func (c *conn) challenge(data []byte) error {
	// [MQTT-4.12.0-2], [MQTT-4.12.0-5] with the method of the client.
	p := &wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: c.enhanced.method, AuthenticationData: data}
	b, err := p.Append(nil, wire.V5)
	if err != nil {
		return err
	}
	if size := c.limits.MaximumPacketSize; size > 0 && len(b) > int(size) {
		// [MQTT-3.1.2-24]
		return &refusal{code: wire.PacketTooLarge, text: "challenge is larger than the client's maximum packet size"}
	}
	return c.transmit(b)
}

// errWithdrawn says that the client disconnected during its login.
var errWithdrawn = errors.New("client disconnected while it was authenticated")

// readAuth waits for the client's answer. [MQTT-3.1.2-30] nothing else may come.
func (c *conn) readAuth() ([]byte, error) {
	h, body, err := c.reader.ReadPacket()
	if err != nil {
		return nil, err
	}
	packet, err := c.decoder.Decode(h, body)
	if err != nil {
		return nil, err
	}
	switch p := packet.(type) {
	case *wire.Auth:
		if p.AuthenticationMethod != c.enhanced.method {
			return nil, &wire.Error{Packet: h.Type, Reason: wire.BadAuthenticationMethod, Detail: "another method than in CONNECT"}
		}
		// [MQTT-4.12.0-3]
		if p.ReasonCode != wire.ContinueAuthentication {
			return nil, &wire.Error{Packet: h.Type, Reason: wire.ProtocolError, Detail: "does not continue the authentication"}
		}
		return p.AuthenticationData, nil
	case *wire.Disconnect:
		return nil, errWithdrawn
	}
	return nil, &wire.Error{Packet: h.Type, Reason: wire.ProtocolError, Detail: "before CONNACK"}
}

// handleAuth handles one step of a re-authentication. Other packets are handled
// meanwhile.
func (c *conn) handleAuth(p *wire.Auth, now time.Time) error {
	e := &c.enhanced
	fault := func(code wire.ReasonCode, detail string) error {
		return &wire.Error{Packet: wire.TypeAuth, Reason: code, Detail: detail}
	}
	switch {
	case e.by == nil:
		// [MQTT-4.12.0-7]
		return fault(wire.ProtocolError, "CONNECT named no method")
	case p.AuthenticationMethod != e.method:
		// [MQTT-4.12.1-1]
		return fault(wire.BadAuthenticationMethod, "another method than in CONNECT")
	case p.ReasonCode == wire.Reauthenticate && e.again == nil:
		e.login = &Login{Peer: *c.peer, AuthenticationMethod: e.method, Again: true, Request: c.request}
		e.again = c.hub.hooks.beginExchange(e.by, e.login)
		e.deadline = now.Add(c.hub.cfg.ConnectTimeout)
	case p.ReasonCode == wire.ContinueAuthentication && e.again != nil:
	default:
		return fault(wire.ProtocolError, "does not fit the state of the authentication")
	}

	ctx, cancel := context.WithDeadline(c.hub.ctx, e.deadline)
	defer cancel()
	data, d := c.hub.hooks.nextStep(ctx, e.again, c.peer, p.AuthenticationData)
	answer := &wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: e.method, AuthenticationData: data}
	switch d.verdict {
	case denied:
		// [MQTT-4.12.1-2] DISCONNECT has fewer reasons than CONNACK.
		return d.refusal(wire.UnspecifiedError, wire.ImplementationSpecificError, wire.ServerBusy, wire.BadAuthenticationMethod,
			wire.QuotaExceeded, wire.AdministrativeAction, wire.UseAnotherServer, wire.ServerMoved)
	case allowed:
		if err := c.reauthenticated(e.login, d); err != nil {
			return err
		}
		answer.ReasonCode, e.again, e.login = wire.Success, nil, nil
	}
	return c.answer(answer)
}
