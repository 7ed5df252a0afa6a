package session

import "github.com/seed65a45251/mqtt/wire"

// SendAtMostOnce writes a QoS 0 message at once if no other message has to go first and
// there is no [Rate]. Otherwise it does nothing and returns false, and the message has to be submitted.
func (s *Sender) SendAtMostOnce(p *wire.Publish) (sent bool, err error) {
	if !s.link.open || s.queue.len > 0 || s.repeating() || s.link.full() || s.link.holdQoS0 || len(p.Payload) >= streamed || s.lastPassable() < GateOpen || s.pacer != nil {
		return false, nil
	}
	if s.link.Version < wire.V5 && p.Properties != nil && p.Properties.MessageExpiryInterval != nil {
		aged := *p
		aged.Properties = withoutExpiry(p.Properties)
		p = &aged
	}
	if p, err = s.fit(p); err != nil {
		return false, err
	}
	if s.link.aliases != nil {
		err = s.link.appendAliased(p)
	} else {
		if s.link.buf, err = p.Append(s.link.buf, s.link.Version); err == nil {
			s.link.packets++
		}
	}
	if err != nil {
		return false, err
	}
	s.link.sentAtMostOnce(s.link.position())
	return true, nil
}

// SendEncoded is [Sender.SendAtMostOnce] for a QoS 0 PUBLISH that the caller has
// checked and encoded for the version of the link, so that the work is done once for
// many receivers. It copies b.
func (s *Sender) SendEncoded(b []byte) (sent bool, err error) {
	if !s.link.open || s.queue.len > 0 || s.repeating() || s.link.full() || s.lastPassable() < GateOpen {
		return false, nil
	}
	if err := s.link.Limits.checkSize(len(b)); err != nil {
		return false, err
	}
	s.link.buf = append(s.link.buf, b...)
	s.link.packets++
	return true, nil
}
