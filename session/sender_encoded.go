package session

// SendEncoded is [Sender.SendAtMostOnce] for a QoS 0 PUBLISH that the caller has
// checked and encoded for the version of the link, so that the work is done once
// for many receivers. The bytes are copied.
func (s *Sender) SendEncoded(b []byte) (sent bool, err error) {
	if !s.link.open || s.queue.len > 0 || s.repeating() || s.link.full() || s.passable() < GateOpen {
		return false, nil
	}
	if err := s.link.Limits.checkSize(len(b)); err != nil {
		return false, err
	}
	s.link.buf = append(s.link.buf, b...)
	return true, nil
}
