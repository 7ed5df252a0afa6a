package session

import (
	"fmt"

	"github.com/seed65a45251/mqtt/wire"
)

// Limits are what the peer announced for one connection.
type Limits struct {
	ReceiveMaximum    uint16   // how many QoS 1 and 2 messages may be open towards the peer
	MaximumPacketSize uint32   // in bytes, the whole packet; 0: no limit
	MaximumQoS        wire.QoS // the highest QoS the peer accepts in PUBLISH
	TopicAliasMaximum uint16   // 0: the peer takes no topic aliases
	NoRetain          bool     // the peer refuses retained messages
	NoWildcards       bool     // the peer refuses filters with wildcards
	NoSubscriptionIDs bool     // the peer refuses subscription identifiers
	NoShared          bool     // the peer refuses shared subscriptions
}

// NoLimits returns the limits of a peer that announced none.
func NoLimits() Limits {
	return Limits{ReceiveMaximum: 65535, MaximumQoS: wire.ExactlyOnce}
}

func limitsOf(ack *wire.Connack, v wire.Version) Limits {
	l := NoLimits()
	if v < wire.V5 {
		l.NoSubscriptionIDs = true
		return l
	}
	if ack.ReceiveMaximum > 0 {
		l.ReceiveMaximum = ack.ReceiveMaximum
	}
	l.MaximumPacketSize = ack.MaximumPacketSize
	if ack.MaximumQoS != nil {
		l.MaximumQoS = *ack.MaximumQoS
	}
	l.TopicAliasMaximum = ack.TopicAliasMaximum
	absent := func(available *bool) bool { return available != nil && !*available }
	l.NoRetain = absent(ack.RetainAvailable)
	l.NoWildcards = absent(ack.WildcardSubscriptionAvailable)
	l.NoSubscriptionIDs = absent(ack.SubscriptionIDAvailable)
	l.NoShared = absent(ack.SharedSubscriptionAvailable)
	return l
}

// CheckPublish returns nil if the peer takes the message, or a [*LimitError].
func (l *Limits) CheckPublish(p *wire.Publish, v wire.Version) error {
	// [MQTT-3.2.2-11] never above the server's maximum QoS.
	if p.QoS > l.MaximumQoS {
		return &LimitError{wire.QoSNotSupported, fmt.Sprintf("QoS %d is above the server's maximum of %d", p.QoS, l.MaximumQoS)}
	}
	// [MQTT-3.2.2-14] no retained message where the server keeps none.
	if p.Retain && l.NoRetain {
		return &LimitError{wire.RetainNotSupported, "server does not support retained messages"}
	}
	// [MQTT-3.3.2-9] no alias above the server's maximum.
	if p.Properties != nil && p.Properties.TopicAlias > l.TopicAliasMaximum {
		return &LimitError{wire.TopicAliasInvalid, fmt.Sprintf("topic alias %d is above the server's maximum of %d", p.Properties.TopicAlias, l.TopicAliasMaximum)}
	}
	if l.MaximumPacketSize == 0 {
		return nil
	}
	return l.checkSize(p.Size(v))
}

// checkSize obeys [MQTT-3.2.2-15]: no packet is larger than the peer allows.
func (l *Limits) checkSize(size int) error {
	if l.MaximumPacketSize == 0 || uint32(size) <= l.MaximumPacketSize {
		return nil
	}
	return &LimitError{wire.PacketTooLarge, fmt.Sprintf("packet of %d bytes is larger than the server's maximum of %d", size, l.MaximumPacketSize)}
}
