package session

import "github.com/seed65a45251/mqtt/wire"

// takesRuns reports whether several acknowledgements may be handled before what they let
// out is sent: nothing is told of each, and no packet is tried alone.
func (s *Sender) takesRuns() bool {
	return s.journal == nil && s.retries == nil && !s.suspicion.pending() && !s.suspicion.asked
}

// acknowledged handles a run of acknowledgements that say nothing but that all is well.
func (s *Sender) acknowledged(t wire.PacketType, ids []uint16) (err error) {
	for _, id := range ids {
		switch t {
		case wire.TypePuback:
			err = s.takePuback(id)
		case wire.TypePubrec:
			err = s.Pubrec(&wire.Pubrec{PacketID: id}) // it sends no message
		default:
			err = s.takePubcomp(id)
		}
		if err != nil {
			break
		}
	}
	s.Pump(s.now)
	return err
}

// takePuback is Puback for one that says that all is well, without what it lets out.
func (s *Sender) takePuback(id uint16) error {
	o := s.ids.message(id)
	if o == nil || o.Publish.QoS != wire.AtLeastOnce {
		return s.Puback(&wire.Puback{PacketID: id})
	}
	s.counts.answered(o, s.now)
	s.endExchange(o, &s.published)
	o.result = nil
	s.completeAs(o)
	return nil
}

// takePubcomp is Pubcomp for one that says that all is well, without what it lets out.
func (s *Sender) takePubcomp(id uint16) error {
	o := s.ids.message(id)
	if o == nil || o.state != outgoingReleased || o.doubtful || id == s.doubt.probe || s.inherited.releasing(id) {
		return s.Pubcomp(&wire.Pubcomp{PacketID: id})
	}
	s.endExchange(o, &s.released)
	s.completeAs(o) // PUBREC said whether there were subscribers
	return nil
}

// Puback handles a PUBACK. If the identifier is not in use, nothing changes. A PUBACK
// for a QoS 2 message is a protocol error.
func (s *Sender) Puback(p *wire.Puback) error {
	o := s.ids.message(p.PacketID)
	if o == nil {
		return s.unknown(wire.TypePuback, p.PacketID)
	}
	if o.Publish.QoS != wire.AtLeastOnce {
		// A server before 5.0 that treats QoS 2 as QoS 1 has the message and does not
		// know PUBREL. On 5.0 it would have announced its maximum QoS.
		err := protocolError(wire.TypePuback, wire.ProtocolError, "PUBACK for packet %d, which is QoS 2", p.PacketID)
		if s.link.Version == wire.V5 || o.state != outgoingPublished || !overlook(s.tolerate, err) {
			return err
		}
	}
	s.finishPublished(o, resultOf(wire.TypePuback, p.ReasonCode, p.ReasonString, p.UserProperties))
	s.Pump(s.now)
	return nil
}

// Pubrec handles a PUBREC. It answers with PUBREL, or ends the exchange if the code
// is a failure.
func (s *Sender) Pubrec(p *wire.Pubrec) error {
	o := s.ids.message(p.PacketID)
	switch {
	case o == nil:
		if err := s.unknown(wire.TypePubrec, p.PacketID); err != nil {
			return err
		}
		if !p.ReasonCode.Failed() {
			s.link.pubrel(p.PacketID, wire.PacketIdentifierNotFound)
		}
		return nil
	case o.Publish.QoS != wire.ExactlyOnce:
		// A server that treats QoS 1 as QoS 2 gets its PUBREL, like one that may do
		// so.
		err := protocolError(wire.TypePubrec, wire.ProtocolError, "PUBREC for packet %d, which is QoS 1", p.PacketID)
		if !overlook(s.tolerate, err) {
			return err
		}
	}
	if p.ReasonCode.Failed() {
		if o.state == outgoingReleased {
			return protocolError(wire.TypePubrec, wire.ProtocolError, "failure in a repeated PUBREC for packet %d", p.PacketID)
		}
		// [MQTT-4.3.3-4] a failure ends the exchange without PUBREL.
		s.finishPublished(o, resultOf(wire.TypePubrec, p.ReasonCode, p.ReasonString, p.UserProperties))
		s.Pump(s.now)
		return nil
	}
	pending := s.suspicion.pending()
	if o.state == outgoingPublished {
		s.counts.answered(o, s.now)
		if s.resend == o {
			s.resend = o.next
		}
		// [MQTT-4.3.3-6] from now on PUBREL is repeated and PUBLISH never is.
		s.published.remove(o)
		s.markReceived(o)
		o.state = outgoingReleased
		s.released.push(o)
		o.Complete(Result{ReasonCode: p.ReasonCode, ReasonString: p.ReasonString, UserProperties: p.UserProperties})
		s.noteExchange(o)
		if o.Durable && s.journal == nil {
			o.recorded = false
			s.recordQueue().messages = append(s.recordQueue().messages, o)
		}
	}
	if s.awaitsRecord(o) {
		return nil // Recorded sends the PUBREL
	}
	s.releaseMessage(o)
	if pending {
		s.Pump(s.now) // one of them was answered
	}
	return nil
}

// Pubcomp handles a PUBCOMP. It ends a QoS 2 exchange whatever its code.
func (s *Sender) Pubcomp(p *wire.Pubcomp) error {
	if s.inherited.releasing(p.PacketID) {
		s.inherited.free(p.PacketID)
		s.answered(false)
		s.Pump(s.now)
		return nil
	}
	if p.PacketID == s.doubt.probe && p.PacketID != 0 {
		s.probed(p.ReasonCode)
		return nil
	}
	o := s.ids.message(p.PacketID)
	if o == nil {
		return s.unknown(wire.TypePubcomp, p.PacketID)
	}
	if o.state != outgoingReleased {
		return protocolError(wire.TypePubcomp, wire.ProtocolError, "PUBCOMP for packet %d before its PUBREL", p.PacketID)
	}
	r := o.Result() // PUBREC said whether there were subscribers
	if p.ReasonCode.Failed() && p.ReasonCode != wire.PacketIdentifierNotFound {
		r = resultOf(wire.TypePubcomp, p.ReasonCode, p.ReasonString, p.UserProperties)
	}
	if o.doubtful {
		s.doubtfulPubcomp(o, p, r)
		return nil
	}
	s.finish(o, &s.released, r)
	s.Pump(s.now)
	return nil
}

// unknown judges an acknowledgement whose identifier stands for no message. It is
// harmless if the identifier is free, and an error if it belongs to a SUBSCRIBE or
// UNSUBSCRIBE.
func (s *Sender) unknown(t wire.PacketType, id uint16) error {
	if s.ids.requests[id] != nil {
		return protocolError(t, wire.ProtocolError, "%v for packet %d, which is no PUBLISH", t, id)
	}
	return nil
}

func resultOf(t wire.PacketType, code wire.ReasonCode, text string, props []wire.UserProperty) Result {
	r := Result{ReasonCode: code, ReasonString: text, UserProperties: props}
	if code.Failed() {
		r.Err = &ServerError{Packet: t, ReasonCode: code, ReasonString: text, UserProperties: props}
	}
	return r
}
