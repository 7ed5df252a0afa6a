package mqtttest

import (
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

// announcement is a function that changes CONNACKs.
type announcement struct {
	change    func(*wire.Connack)
	clientIDs []string // none: of all clients
}

// Announce makes f change each CONNACK that accepts one of these clients, or any, on
// 5.0, from now on until [Broker.Heal], for example to lower a limit between two
// connections. A client that then exceeds the announced receive maximum, maximum
// packet size, maximum QoS or number of topic aliases, or uses a feature that was
// announced as unavailable, is disconnected with the reason that the specification
// has for it.
func (b *Broker) Announce(f func(*wire.Connack), clientIDs ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults.announced = append(b.faults.announced, announcement{f, clientIDs})
}

// limits are the limits that a client was told in place of the broker's.
type limits struct {
	ack  wire.Connack
	open map[uint16]bool // QoS 1 and 2 messages of the client that are not acknowledged
}

// adapt replaces a CONNACK if there is an announcement for it. enforce then applies
// its limits.
func (l *link) adapt(p *Packet) {
	if p.verdict.dropped || p.verdict.replaced || p.Version != wire.V5 {
		return
	}
	ack, ok := p.Packet.(*wire.Connack)
	if !ok || p.Direction != Down {
		l.enforce(p)
		return
	}
	if ack.ReasonCode.Failed() {
		return
	}
	changes := l.b.announcedTo(p.ClientID)
	if len(changes) == 0 {
		return
	}
	changed := *ack
	for _, change := range changes {
		change(&changed)
	}
	l.mu.Lock()
	l.limits = &limits{ack: changed, open: make(map[uint16]bool)}
	l.mu.Unlock()
	p.Replace(&changed)
}

func (b *Broker) announcedTo(clientID string) []func(*wire.Connack) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var changes []func(*wire.Connack)
	for _, a := range b.faults.announced {
		if len(a.clientIDs) == 0 || slices.Contains(a.clientIDs, clientID) {
			changes = append(changes, a.change)
		}
	}
	return changes
}

// enforce disconnects a client that exceeds the limits that it was told.
func (l *link) enforce(p *Packet) {
	l.mu.Lock()
	reason := wire.Success
	if l.limits != nil {
		reason = l.limits.judge(p)
	}
	l.mu.Unlock()
	if !reason.Failed() {
		return
	}
	p.Drop()
	p.note("breaks an announced limit")
	for _, out := range p.encode([]wire.Packet{&wire.Disconnect{ReasonCode: reason}}) {
		out.last = true
		p.verdict.answers = append(p.verdict.answers, out)
	}
}

// judge tracks the packets of a connection and returns the reason to refuse p, or Success.
func (m *limits) judge(p *Packet) wire.ReasonCode {
	if p.Direction == Down {
		m.acknowledged(p.Packet)
		return wire.Success
	}
	if most := m.ack.MaximumPacketSize; most > 0 && len(p.raw) > int(most) {
		return wire.PacketTooLarge // [MQTT-3.2.2-15]
	}
	switch q := p.Packet.(type) {
	case *wire.Publish:
		return m.judgePublish(q)
	case *wire.Subscribe:
		return m.judgeSubscribe(q)
	}
	return wire.Success
}

func (m *limits) judgePublish(p *wire.Publish) wire.ReasonCode {
	switch {
	case m.ack.MaximumQoS != nil && p.QoS > *m.ack.MaximumQoS: // [MQTT-3.2.2-11]
		return wire.QoSNotSupported
	case p.Retain && isFalse(m.ack.RetainAvailable): // [MQTT-3.2.2-14]
		return wire.RetainNotSupported
	case p.Properties != nil && p.Properties.TopicAlias > m.ack.TopicAliasMaximum: // [MQTT-3.2.2-17]
		return wire.TopicAliasInvalid
	}
	if p.QoS > wire.AtMostOnce {
		m.open[p.PacketID] = true
	}
	if most := m.ack.ReceiveMaximum; most > 0 && len(m.open) > int(most) { // [MQTT-3.3.4-9]
		return wire.ReceiveMaximumExceeded
	}
	return wire.Success
}

func (m *limits) judgeSubscribe(p *wire.Subscribe) wire.ReasonCode {
	if p.SubscriptionID != 0 && isFalse(m.ack.SubscriptionIDAvailable) {
		return wire.SubscriptionIdentifiersNotSupported
	}
	for _, f := range p.Filters {
		switch {
		case strings.HasPrefix(f.Filter, "$share/") && isFalse(m.ack.SharedSubscriptionAvailable):
			return wire.SharedSubscriptionsNotSupported
		case strings.ContainsAny(f.Filter, "+#") && isFalse(m.ack.WildcardSubscriptionAvailable):
			return wire.WildcardSubscriptionsNotSupported
		}
	}
	return wire.Success
}

// acknowledged handles an acknowledgement of the broker, which ends an exchange of the
// client.
func (m *limits) acknowledged(p wire.Packet) {
	switch p := p.(type) {
	case *wire.Puback:
		delete(m.open, p.PacketID)
	case *wire.Pubcomp:
		delete(m.open, p.PacketID)
	case *wire.Pubrec:
		if p.ReasonCode.Failed() {
			delete(m.open, p.PacketID)
		}
	}
}

func isFalse(b *bool) bool { return b != nil && !*b }
