package session

import "github.com/seed65a45251/mqtt/wire"

// aliases are the topic aliases that the peer has set on this connection.
type aliases struct {
	max    uint16
	topics []string // by alias; grows with what the peer really sets
}

// unasked says that p has an alias although we announced none, and needs it not. Some
// servers pass on the one of the publisher.
func (a *aliases) unasked(p *wire.Publish) bool { return a.max == 0 && p.Topic != "" }

// resolve fills in the topic of p and remembers a new mapping.
func (a *aliases) resolve(p *wire.Publish) error {
	if p.Properties == nil || p.Properties.TopicAlias == 0 {
		return nil
	}
	alias := p.Properties.TopicAlias
	// [MQTT-3.1.2-26] none above what we announced.
	if alias > a.max {
		return protocolError(wire.TypePublish, wire.TopicAliasInvalid, "topic alias %d is above the maximum of %d", alias, a.max)
	}
	if p.Topic == "" {
		if int(alias) >= len(a.topics) || a.topics[alias] == "" {
			return protocolError(wire.TypePublish, wire.ProtocolError, "topic alias %d was never set", alias)
		}
		p.Topic = a.topics[alias]
		return nil
	}
	for int(alias) >= len(a.topics) {
		a.topics = append(a.topics, "")
	}
	a.topics[alias] = p.Topic
	return nil
}
