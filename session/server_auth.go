package session

import (
	"bytes"

	"github.com/seed65a45251/mqtt/wire"
)

// serverTurn says which side has to go on: during CONNECT until CONNACK, and in a
// re-authentication.
type serverTurn uint8

const (
	turnNone   serverTurn = iota // nothing is under way
	turnServer                   // the caller has to answer
	turnClient                   // an AUTH of ours has to be answered
)

// Auth answers a CONNECT or AUTH with a step of an enhanced authentication (5.0). It
// fills in the method, which never changes. Before CONNACK the code is
// ContinueAuthentication. After CONNACK the code Success ends a re-authentication,
// and [Server.Disconnect] refuses it. Reason string and user properties are left out
// if they do not fit or the client does not want them.
func (s *Server) Auth(p *wire.Auth) error {
	if s.turn != turnServer || s.phase != serverDeciding && s.phase != serverConnected || s.connect.AuthenticationMethod == "" {
		return ErrOutOfTurn
	}
	// [MQTT-4.12.0-2]
	if p.ReasonCode != wire.ContinueAuthentication && (s.phase == serverDeciding || p.ReasonCode != wire.Success) {
		return &wire.FieldError{Packet: wire.TypeAuth, Field: "ReasonCode", Problem: "is not one for this step"}
	}
	short := wire.Auth{ReasonCode: p.ReasonCode, AuthenticationData: p.AuthenticationData,
		AuthenticationMethod: s.connect.AuthenticationMethod} // [MQTT-4.12.0-5]
	full := short
	if s.problemInformation() {
		full.ReasonString, full.UserProperties = p.ReasonString, p.UserProperties
	}
	if err := s.appendFitting(&full, &short); err != nil {
		return err
	}
	s.turn = turnClient
	if p.ReasonCode == wire.Success {
		s.turn = turnNone
	}
	return nil
}

// handleAuthenticating handles a packet that comes after an AUTH of ours and before
// CONNACK. [MQTT-3.1.2-30] It is AUTH or DISCONNECT.
func (s *Server) handleAuthenticating(h wire.Header, body []byte) error {
	packet, err := s.decoder.Decode(h, body)
	if err != nil {
		return err
	}
	switch p := packet.(type) {
	case *wire.Auth:
		return s.handleAuth(p)
	case *wire.Disconnect:
		s.shut()
		s.inbox.add(p)
		return nil
	}
	return protocolError(h.Type, wire.ProtocolError, "%v in the middle of an authentication", h.Type)
}

// handleAuth handles an AUTH, which begins a re-authentication [MQTT-4.12.1-1] or
// answers an AUTH of ours.
func (s *Server) handleAuth(p *wire.Auth) error {
	want := wire.ContinueAuthentication
	if s.turn == turnNone {
		want = wire.Reauthenticate
	}
	switch {
	case s.connect.AuthenticationMethod == "":
		// [MQTT-4.12.0-7]
		return protocolError(wire.TypeAuth, wire.ProtocolError, "AUTH without an authentication method")
	case p.AuthenticationMethod != s.connect.AuthenticationMethod:
		// [MQTT-4.12.0-5]
		return protocolError(wire.TypeAuth, wire.ProtocolError, "authentication method differs from that of CONNECT")
	case s.turn == turnServer || p.ReasonCode != want:
		return protocolError(wire.TypeAuth, wire.ProtocolError, "AUTH with %v out of turn", p.ReasonCode)
	}
	p.AuthenticationData = bytes.Clone(p.AuthenticationData)
	s.turn = turnServer
	s.inbox.add(p)
	return nil
}
