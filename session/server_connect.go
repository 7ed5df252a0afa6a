package session

import (
	"bytes"
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// handleFirst takes the first packet of a connection, which is CONNECT
// [MQTT-3.1.0-1]: the decoder knows nothing else yet.
func (s *Server) handleFirst(h wire.Header, body []byte) error {
	// The packet stays, and with it password, will and authentication data.
	body = bytes.Clone(body)
	packet, err := s.decoder.Decode(h, body)
	if err != nil {
		s.link.Version = s.decoder.Version
		code, _ := errors.AsType[wire.ReasonCode](err)
		if code == wire.UnsupportedProtocolVersion {
			s.link.Version = RefusalVersion(body)
		}
		// [MQTT-3.1.4-1] a fault ends the connection, with CONNACK where it fits.
		if s.link.Version != 0 {
			s.sendRefusal(&wire.Connack{ReasonCode: code})
		}
		return err
	}
	p := packet.(*wire.Connect)
	s.connect = p
	s.link = Link{Version: p.Version, Limits: ConnectLimits(p)}
	s.phase, s.turn = serverDeciding, turnServer
	s.inbox.add(p)
	return nil
}

// Accept lets the client in with the packet ack, which it keeps. SessionPresent
// and AuthenticationMethod are filled in. What ack announces binds a 5.0 client
// from now on: receive maximum, maximum QoS and packet size, topic aliases, what
// is not available, keep-alive, session expiry. The reason string and the user
// properties are left out where they do not fit.
//
// What the session still has for the client follows the CONNACK. Without a
// session, or when the client wants a clean start, earlier messages end with
// ErrSessionEnded. The caller then drops the subscriptions, too: SessionPresent
// says which it was.
//
// A will that ack does not allow is refused; the error, a [*wire.Error], ends the
// connection. After any other nothing was sent, and the client can be refused.
func (s *Server) Accept(ack *wire.Connack, now time.Time) error {
	if s.phase != serverDeciding {
		return ErrOutOfTurn
	}
	p := s.connect
	if err := s.CheckAccept(ack); err != nil {
		if _, ok := errors.AsType[*wire.Error](err); ok {
			s.Fail(err)
		}
		return err
	}
	limits := limitsOf(ack, p.Version)
	// [MQTT-3.2.2-2], [MQTT-3.2.2-3]
	ack.SessionPresent = s.session.exists && !p.CleanStart
	// [MQTT-4.12.0-5], [MQTT-4.12.0-6]
	ack.AuthenticationMethod = p.AuthenticationMethod
	// [MQTT-3.2.2-19], [MQTT-3.2.2-20]
	if err := s.appendFitting(ack, shortened(ack)); err != nil {
		return err
	}
	if !ack.SessionPresent {
		s.Forget() // [MQTT-3.1.2-4]
	}
	s.connack, s.limits = ack, limits
	s.phase, s.turn = serverConnected, turnNone
	s.session = serverSession{exists: true, expiry: s.grantedExpiry(), will: p.Will}
	// [MQTT-3.1.2-22], [MQTT-3.2.2-21]
	s.silence = silence{limit: s.KeepAlive() * 3 / 2, last: now}
	s.openSession(ack.SessionPresent, now)
	return nil
}

// CheckAccept returns the error that Accept would return, and changes nothing. A server
// that takes the session from another connection with [Server.Adopt] asks it before: a
// client that is refused must not cost another one its connection.
func (s *Server) CheckAccept(ack *wire.Connack) error {
	if s.phase != serverDeciding {
		return ErrOutOfTurn
	}
	p := s.connect
	if err := checkAccept(ack, p); err != nil {
		return err
	}
	if err := RefuseWill(p.Will, limitsOf(ack, p.Version)); err != nil {
		return err
	}
	short := shortened(ack)
	short.AuthenticationMethod = p.AuthenticationMethod
	b, err := short.Append(nil, p.Version)
	if err != nil {
		return err
	}
	return s.link.Limits.checkSize(len(b))
}

// shortened returns ack without what may be left out where it does not fit.
func shortened(ack *wire.Connack) *wire.Connack {
	short := *ack
	short.ReasonString, short.UserProperties = "", nil
	return &short
}

// openSession opens the two halves of the session.
func (s *Server) openSession(present bool, now time.Time) {
	v := s.link.Version
	receiveMaximum, aliases := 0, uint16(0)
	if v == wire.V5 {
		receiveMaximum, aliases = int(s.limits.ReceiveMaximum), s.limits.TopicAliasMaximum
		s.link.UseAliases(int(min(s.settings.TopicAliases, s.link.Limits.TopicAliasMaximum)))
	} else {
		s.Sender.DropProperties()
	}
	s.link.Open(v, s.link.Limits)
	s.Receiver.Start(present, receiveMaximum, aliases)
	s.Sender.quota.max = s.settings.Inflight
	s.Sender.Start(present, now)
}

func checkAccept(ack *wire.Connack, p *wire.Connect) error {
	fail := func(field, problem string) error {
		return &wire.FieldError{Packet: wire.TypeConnack, Field: field, Problem: problem}
	}
	switch {
	case ack.ReasonCode != wire.Success:
		return fail("ReasonCode", "is not success")
	case p.Version == wire.V5 && p.ClientID == "" && ack.AssignedClientID == "":
		// [MQTT-3.1.3-7], [MQTT-3.2.2-16]
		return fail("AssignedClientID", "is empty although the client has none")
	case p.ClientID != "" && ack.AssignedClientID != "":
		return fail("AssignedClientID", "is set although the client has one")
	}
	return nil
}

// Refuse turns the client away with the packet ack. A reason that its version can
// not express is not sent: closing the connection says it. [MQTT-3.1.4-6] What
// the client sent after CONNECT is not looked at.
func (s *Server) Refuse(ack *wire.Connack) error {
	if s.phase != serverDeciding {
		return ErrOutOfTurn
	}
	if !ack.ReasonCode.Failed() {
		return &wire.FieldError{Packet: wire.TypeConnack, Field: "ReasonCode", Problem: "is no refusal"}
	}
	s.shut()
	s.sendRefusal(ack)
	return nil
}

// sendRefusal sends a CONNACK. [MQTT-3.2.2-6] Without session present; before 5.0 only
// codes of that version [MQTT-3.2.2-8], which is up to the encoder.
func (s *Server) sendRefusal(ack *wire.Connack) {
	p := *ack
	p.SessionPresent = false
	if err := s.appendFitting(&p, &wire.Connack{ReasonCode: p.ReasonCode}); err != nil {
		return // closing says enough
	}
}

// grantedExpiry returns the session expiry interval, in seconds.
func (s *Server) grantedExpiry() uint32 {
	if granted := s.connack.SessionExpiryInterval; granted != nil && s.link.Version == wire.V5 {
		return *granted
	}
	return ConnectExpiry(s.connect)
}

// KeepAlive returns the interval in force; 0: off, or before CONNECT.
// [MQTT-3.2.2-21] the value of our CONNACK replaces the client's.
func (s *Server) KeepAlive() time.Duration {
	if s.connect == nil {
		return 0
	}
	seconds := s.connect.KeepAlive
	if s.connack != nil && s.connack.ServerKeepAlive != nil && s.link.Version == wire.V5 {
		seconds = *s.connack.ServerKeepAlive
	}
	return time.Duration(seconds) * time.Second
}
