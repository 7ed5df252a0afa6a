package session

import "github.com/seed65a45251/mqtt/wire"

// fit returns p as the peer takes it: without the optional user properties where a
// packet with them is too large. It leaves p alone.
func (s *Sender) fit(p *wire.Publish) (*wire.Publish, error) {
	err := s.link.Limits.CheckPublish(p, s.link.Version)
	if err == nil || p.Properties == nil || p.Properties.OptionalUserProperties == 0 {
		return p, err
	}
	properties := *p.Properties
	properties.UserProperties, properties.OptionalUserProperties = p.Properties.RequiredUserProperties(), 0
	smaller := *p
	smaller.Properties = &properties
	return &smaller, s.link.Limits.CheckPublish(&smaller, s.link.Version)
}

// fitMessage makes o a message that the peer takes, or says why it takes none such.
func (s *Sender) fitMessage(o *Outgoing) error {
	s.lowerQoS(o)
	if o.Publish.Properties == nil {
		return s.link.Limits.CheckPublish(&o.Publish, s.link.Version)
	}
	p, err := s.fit(&o.Publish)
	o.Publish.Properties = p.Properties
	return err
}

// lowerQoS sends o at QoS 1 where the peer has no QoS 2. An earlier connection or process
// did so, too, if it sent o to this peer.
func (s *Sender) lowerQoS(o *Outgoing) {
	if s.lower && o.Publish.QoS == wire.ExactlyOnce && s.link.Limits.MaximumQoS == wire.AtLeastOnce {
		o.Publish.QoS = wire.AtLeastOnce
	}
}
