package session

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Publish is Sender.Submit for a message that may come from a client of another
// version: before 5.0 its properties are left out. Its QoS is the one to send with,
// at most the one granted to the subscription [MQTT-3.8.4-8]. If there is no session,
// the message ends at once with ErrSessionEnded.
func (s *Server) Publish(o *Outgoing, now time.Time) {
	if !s.session.exists {
		o.Publish.PacketID = 0 // the identifier of another exchange
		s.Sender.complete(o, Result{Err: ErrSessionEnded})
		return
	}
	if s.phase == serverConnected && s.link.Version < wire.V5 {
		o.Publish.Properties = nil
	}
	s.Sender.Submit(o, now)
}

// Suback answers a SUBSCRIBE, with one code per filter. Reason string and user
// properties are left out if they do not fit, if the version has none, or if the
// client does not want them. After an error nothing was sent.
func (s *Server) Suback(p *wire.Suback) error {
	if err := s.checkAnswer(wire.TypeSuback, p.PacketID, len(p.ReasonCodes)); err != nil {
		return err
	}
	short := wire.Suback{PacketID: p.PacketID, ReasonCodes: p.ReasonCodes}
	if !s.problemInformation() {
		p = &short
	}
	return s.answered(p.PacketID, s.appendFitting(p, &short))
}

// Unsuback answers an UNSUBSCRIBE, with one code per filter. Before 5.0 no codes are
// sent, and they may be missing. Otherwise it is like Suback.
func (s *Server) Unsuback(p *wire.Unsuback) error {
	if err := s.checkAnswer(wire.TypeUnsuback, p.PacketID, len(p.ReasonCodes)); err != nil {
		return err
	}
	short := wire.Unsuback{PacketID: p.PacketID, ReasonCodes: p.ReasonCodes}
	if !s.problemInformation() {
		p = &short
	}
	return s.answered(p.PacketID, s.appendFitting(p, &short))
}

// checkAnswer obeys [MQTT-3.8.4-2], [MQTT-3.10.4-4]: the answer belongs to a
// request, and [MQTT-3.8.4-6], [MQTT-3.11.3-1]: it has a code for each filter.
func (s *Server) checkAnswer(t wire.PacketType, id uint16, codes int) error {
	if s.phase != serverConnected {
		return ErrNotConnected
	}
	r, ok := s.requests[id]
	if !ok || r.packet != t {
		return ErrOutOfTurn
	}
	if codes != r.filters && (t == wire.TypeSuback || s.link.Version == wire.V5) {
		return &wire.FieldError{Packet: t, Field: "ReasonCodes", Problem: "are not as many as the filters"}
	}
	return nil
}

func (s *Server) answered(id uint16, err error) error {
	if err == nil {
		delete(s.requests, id)
	}
	return err
}

// Disconnect ends the connection. A 5.0 client is told why, without the reason string
// and the user properties if they do not fit. Before 5.0 there is no DISCONNECT from
// the server; the caller closes the connection.
func (s *Server) Disconnect(p *wire.Disconnect) error {
	// [MQTT-3.14.0-1] not before CONNACK.
	if s.phase != serverConnected {
		return ErrNotConnected
	}
	switch {
	case p.SessionExpiryInterval != nil:
		// [MQTT-3.14.2-2]
		return &wire.FieldError{Packet: wire.TypeDisconnect, Field: "SessionExpiryInterval", Problem: "is for clients"}
	case p.ReasonCode == wire.DisconnectWithWill:
		// [MQTT-3.14.2-1]
		return &wire.FieldError{Packet: wire.TypeDisconnect, Field: "ReasonCode", Problem: "is for clients"}
	}
	if s.link.Version == wire.V5 {
		short := *p
		short.ReasonString, short.UserProperties = "", nil
		// [MQTT-3.14.2-3], [MQTT-3.14.2-4]
		if err := s.appendFitting(p, &short); err != nil {
			return err
		}
	}
	s.shut()
	return nil
}

// appendFitting sends p, or short if p is too large for the client.
func (s *Server) appendFitting(p, short wire.Packet) error {
	err := s.link.Append(p)
	if errors.Is(err, wire.PacketTooLarge) {
		err = s.link.Append(short)
	}
	return err
}

// problemInformation reports whether answers other than CONNACK and DISCONNECT may
// carry text [MQTT-3.1.2-29].
func (s *Server) problemInformation() bool {
	wanted := s.connect.RequestProblemInformation
	return wanted == nil || *wanted
}
