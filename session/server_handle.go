package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// serverRequest is a SUBSCRIBE or UNSUBSCRIBE that the caller has not answered.
type serverRequest struct {
	packet  wire.PacketType // of the answer
	filters int
}

func (s *Server) handle(h wire.Header, body []byte, now time.Time) error {
	switch s.phase {
	case serverWaiting:
		return s.handleFirst(h, body)
	case serverDeciding:
		return s.handleAuthenticating(h, body)
	case serverConnected:
	default:
		return nil // packets after DISCONNECT are ignored
	}
	// [MQTT-3.2.2-15] nothing larger than we announced.
	if limit := s.limits.MaximumPacketSize; limit > 0 && uint32(h.Size) > limit {
		return protocolError(h.Type, wire.PacketTooLarge, "packet of %d bytes, more than our maximum of %d", h.Size, limit)
	}
	s.silence.last = now
	s.Sender.now = now
	p := &s.scratch
	switch h.Type {
	case wire.TypePublish:
		return s.handlePublish(h, body)
	case wire.TypePuback:
		if err := s.decoder.Puback(p.puback(), h, body); err != nil {
			return err
		}
		return s.Sender.Puback(p.puback())
	case wire.TypePubrec:
		if err := s.decoder.Pubrec(p.pubrec(), h, body); err != nil {
			return err
		}
		return s.Sender.Pubrec(p.pubrec())
	case wire.TypePubrel:
		if err := s.decoder.Pubrel(p.pubrel(), h, body); err != nil {
			return err
		}
		return s.Receiver.Pubrel(p.pubrel())
	case wire.TypePubcomp:
		if err := s.decoder.Pubcomp(p.pubcomp(), h, body); err != nil {
			return err
		}
		return s.Sender.Pubcomp(p.pubcomp())
	}
	return s.handleRare(h, body)
}

// handleRare handles the less frequent packets.
func (s *Server) handleRare(h wire.Header, body []byte) error {
	packet, err := s.decoder.Decode(h, body)
	if err != nil {
		return err
	}
	switch p := packet.(type) {
	case *wire.Subscribe:
		if err := RefuseSubscribe(p, s.link.Version, s.limits); err != nil {
			return err
		}
		return s.awaitAnswer(p, p.PacketID, serverRequest{wire.TypeSuback, len(p.Filters)})
	case *wire.Unsubscribe:
		return s.awaitAnswer(p, p.PacketID, serverRequest{wire.TypeUnsuback, len(p.Filters)})
	case *wire.Pingreq:
		// [MQTT-3.12.4-1]
		s.link.appendChecked((*wire.Pingresp)(nil))
		return nil
	case *wire.Disconnect:
		return s.handleDisconnect(p)
	case *wire.Auth:
		return s.handleAuth(p)
	case *wire.Connect:
		// [MQTT-3.1.0-2] one per connection.
		return protocolError(h.Type, wire.ProtocolError, "second CONNECT")
	}
	return protocolError(h.Type, wire.ProtocolError, "%v from a client", h.Type)
}

// awaitAnswer passes a request to the caller. [MQTT-2.2.1-3] A client could not tell
// apart the answers of two requests with one identifier.
func (s *Server) awaitAnswer(p wire.Packet, id uint16, r serverRequest) error {
	if _, used := s.requests[id]; used {
		return protocolError(p.Type(), wire.ProtocolError, "packet identifier %d is still in use", id)
	}
	if s.requests == nil {
		s.requests = make(map[uint16]serverRequest)
	}
	s.requests[id] = r
	s.inbox.add(p)
	return nil
}

func (s *Server) handlePublish(h wire.Header, body []byte) error {
	p := s.inbox.publish()
	if err := s.decoder.Publish(p, h, body); err != nil {
		return err
	}
	if err := RefusePublish(p, s.limits); err != nil {
		return err
	}
	deliver, token, err := s.Receiver.Publish(p)
	if deliver {
		s.inbox.keep(p, token)
	}
	return err
}

// handleDisconnect handles the client's DISCONNECT.
func (s *Server) handleDisconnect(p *wire.Disconnect) error {
	if err := RefuseDisconnect(p, ConnectExpiry(s.connect)); err != nil {
		return err
	}
	if interval := p.SessionExpiryInterval; interval != nil {
		s.session.expiry = *interval
		if granted := s.connack.SessionExpiryInterval; granted != nil {
			s.session.expiry = min(*interval, *granted) // never more than we have granted
		}
	}
	if p.ReasonCode == wire.NormalDisconnection {
		s.session.will = nil // [MQTT-3.14.4-3]
	}
	s.shut()
	s.inbox.add(p)
	return nil
}
