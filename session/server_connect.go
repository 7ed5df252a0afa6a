package session

import (
	"bytes"
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// handleFirst handles the first packet of a connection, which is CONNECT
// [MQTT-3.1.0-1]: the decoder accepts nothing else yet.
func (s *Server) handleFirst(h wire.Header, body []byte) error {
	// The caller keeps the packet, so password, will and authentication data need
	// memory of their own.
	body = bytes.Clone(body)
	packet, err := s.decoder.Decode(h, body)
	if err != nil {
		s.link.Version = s.decoder.Version
		code, _ := errors.AsType[wire.ReasonCode](err)
		if code == wire.UnsupportedProtocolVersion {
			s.link.Version = RefusalVersion(body)
		}
		// [MQTT-3.1.4-1] a fault ends the connection, with a CONNACK if the version
		// is known.
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

// Accept lets the client in with the packet ack, which it keeps. It fills in
// SessionPresent and AuthenticationMethod. The limits that ack announces bind a 5.0
// client from now on: receive maximum, maximum QoS and packet size, topic aliases,
// unavailable features, keep-alive, session expiry. The reason string and the user
// properties are left out if they do not fit.
//
// Messages of the session follow the CONNACK. If there is no session, or the client
// wants a clean start, earlier messages end with ErrSessionEnded. The caller then
// drops the subscriptions, too; SessionPresent says whether the session continues.
//
// If ack does not allow the client's will, the client is refused: the error, a
// [*wire.Error], ends the connection. After any other error nothing was sent, and the
// caller can refuse the client.
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

// CheckAccept returns the error that Accept would return, and changes nothing. Call it
// before [Server.Adopt] takes the session from another connection: a client that is
// refused must not end the connection of another one.
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

// shortened returns ack without the parts that may be left out if they do not fit.
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

// Refuse turns the client away with the packet ack. If the client's version has no
// code for the reason, no CONNACK is sent and closing the connection says it.
// [MQTT-3.1.4-6] packets that the client sent after CONNECT are not handled.
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

// sendRefusal sends a CONNACK. [MQTT-3.2.2-6] It has no session present. Before 5.0
// only codes of that version are sent [MQTT-3.2.2-8]; the encoder refuses others.
func (s *Server) sendRefusal(ack *wire.Connack) {
	p := *ack
	p.SessionPresent = false
	if err := s.appendFitting(&p, &wire.Connack{ReasonCode: p.ReasonCode}); err != nil {
		return // closing the connection says it
	}
}

// grantedExpiry returns the session expiry interval, in seconds.
func (s *Server) grantedExpiry() uint32 {
	if granted := s.connack.SessionExpiryInterval; granted != nil && s.link.Version == wire.V5 {
		return *granted
	}
	return ConnectExpiry(s.connect)
}

// KeepAlive returns the interval in force. It is 0 if keep-alive is off, and before
// CONNECT. [MQTT-3.2.2-21] the value of our CONNACK replaces the client's.
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
