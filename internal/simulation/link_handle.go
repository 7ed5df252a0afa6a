package simulation

import "github.com/seed65a45251/mqtt/wire"

// handle does what a server does with a packet of a client.
func (l *link) handle(packet wire.Packet) {
	k := l.keep
	if p, first := packet.(*wire.Connect); first != (k == nil) {
		l.server.w.fail("%s: %v out of turn", l.server.name, packet.Type())
		return
	} else if first {
		l.connect(p)
		return
	}
	switch p := packet.(type) {
	case *wire.Publish:
		l.take(p)
	case *wire.Pubrel:
		m, there := k.held[p.PacketID]
		delete(k.held, p.PacketID)
		if there && l.server.Late {
			l.server.pass(m)
		}
		ack := &wire.Pubcomp{PacketID: p.PacketID}
		if !there && !l.server.Silent && l.version == wire.V5 {
			ack.ReasonCode = wire.PacketIdentifierNotFound
		}
		l.later(ack)
	case *wire.Puback:
		if o := k.find(p.PacketID); o != nil {
			l.acknowledged(o)
			k.finish(o)
		}
	case *wire.Pubrec:
		o := k.find(p.PacketID)
		switch {
		case o == nil:
			l.later(&wire.Pubrel{PacketID: p.PacketID, ReasonCode: wire.PacketIdentifierNotFound})
			return
		case p.ReasonCode.Failed():
			k.finish(o)
			return
		}
		l.acknowledged(o)
		o.released = true
		l.later(&wire.Pubrel{PacketID: p.PacketID})
	case *wire.Pubcomp:
		if o := k.find(p.PacketID); o != nil {
			k.finish(o)
		}
	case *wire.Subscribe:
		l.later(&wire.Suback{PacketID: p.PacketID, ReasonCodes: l.subscribe(p)})
	case *wire.Unsubscribe:
		for _, f := range p.Filters {
			delete(k.subs, f)
		}
		ack := &wire.Unsuback{PacketID: p.PacketID}
		if l.version == wire.V5 {
			ack.ReasonCodes = make([]wire.ReasonCode, len(p.Filters))
		}
		l.later(ack)
	case *wire.Pingreq:
		l.later((*wire.Pingresp)(nil))
	case *wire.Disconnect:
		l.end("DISCONNECT")
	}
}

func (l *link) subscribe(p *wire.Subscribe) []wire.ReasonCode {
	codes := make([]wire.ReasonCode, len(p.Filters))
	for i, f := range p.Filters {
		codes[i] = wire.ReasonCode(min(f.QoS, l.server.MaximumQoS))
		l.keep.subs[f.Filter] = sub{min(f.QoS, l.server.MaximumQoS), p.SubscriptionID}
	}
	return codes
}

// acknowledged checks that the program has the message and wanted the answer.
func (l *link) acknowledged(o *out) {
	if !o.ever && !o.exempt {
		l.server.w.fail("acknowledged before the hand-over: %s", o.text)
	}
}

func (l *link) connect(p *wire.Connect) {
	s, d := l.server, l.pipe.client
	l.version, l.keepAlive = p.Version, p.KeepAlive
	if s.refusing > 0 {
		s.refusing--
		l.write(&wire.Connack{ReasonCode: wire.ServerUnavailable})
		l.end("CONNECT refused")
		return
	}
	k := s.keeps[d]
	if k != nil && k.link != nil { // [MQTT-3.1.4-3]
		if k.link.version == wire.V5 {
			k.link.write(&wire.Disconnect{ReasonCode: wire.SessionTakenOver})
		}
		k.link.end("taken over")
		k = s.keeps[d]
	}
	present := k != nil && !p.CleanStart
	if !present {
		if k != nil {
			k.lose()
		}
		k = newKeep(s, d)
		s.keeps[d] = k
	}
	l.keep, k.link = k, l
	k.ends = p.Version < wire.V5 && p.CleanStart || p.Version == wire.V5 && p.SessionExpiryInterval == 0
	ack := &wire.Connack{SessionPresent: present && p.Version != wire.V31}
	l.clientMax, l.aliases = 11, make(map[uint16]string)
	if p.Version == wire.V5 {
		l.aliasMax = p.TopicAliasMaximum
		if p.ReceiveMaximum > 0 {
			l.clientMax = int(p.ReceiveMaximum)
		}
		ack.ReceiveMaximum, ack.TopicAliasMaximum = s.ReceiveMax, s.AliasMax
		if s.MaximumQoS < wire.ExactlyOnce {
			ack.MaximumQoS = &s.MaximumQoS
		}
	}
	l.write(ack)
	k.repeat()
}

// take handles a PUBLISH.
func (l *link) take(p *wire.Publish) {
	s, k := l.server, l.keep
	m := s.w.byPayload[string(p.Payload)]
	if m == nil || m.topic != l.topic(p) || m.by != l.pipe.client || m.qos != p.QoS {
		s.w.fail("%s got a message that nobody has published: %s", s.name, words(p))
		return
	}
	if s.Poison && m.topic == "poison" {
		l.end("hangs up because of " + m.payload)
		return
	}
	held, repeat := k.held[p.PacketID]
	code := wire.Success
	switch {
	case p.QoS == wire.AtMostOnce:
		s.pass(m)
		return
	case p.QoS == wire.ExactlyOnce && repeat && !(s.restored && held != m):
	case s.Refuses && m.topic == "refused" && l.version == wire.V5:
		m.refused, code = true, wire.NotAuthorized
	case p.QoS == wire.ExactlyOnce:
		k.held[p.PacketID] = m
		if !s.Late {
			s.pass(m)
		}
	default:
		s.pass(m)
	}
	if p.QoS == wire.ExactlyOnce {
		l.later(&wire.Pubrec{PacketID: p.PacketID, ReasonCode: code})
	} else {
		l.later(&wire.Puback{PacketID: p.PacketID, ReasonCode: code})
	}
}

// topic finds the topic of p by its alias.
func (l *link) topic(p *wire.Publish) string {
	if p.Properties == nil || p.Properties.TopicAlias == 0 {
		return p.Topic
	}
	if p.Topic != "" {
		l.aliases[p.Properties.TopicAlias] = p.Topic
	}
	return l.aliases[p.Properties.TopicAlias]
}
