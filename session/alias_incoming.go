package session

import "github.com/seed65a45251/mqtt/wire"

// aliases are the topic aliases that the peer has set on this connection.
type aliases struct {
	max    uint16
	topics []string // by alias; grows with what the peer really sets
	bytes  int      // of topics
	forgot bool     // some were not kept, because they took too much memory
}

// aliasBytes returns how much memory n topic aliases may take on a connection, in
// either direction. One topic may have 64 KiB, but most are short.
func aliasBytes(n int) int { return 64<<10 + 512*n }

// unasked reports whether p has an alias although we announced none, and also the
// topic, so that the alias is not needed. Some servers pass on the alias of the
// publisher.
func (a *aliases) unasked(p *wire.Publish) bool { return a.max == 0 && p.Topic != "" }

// resolve fills in the topic of p and remembers a new mapping.
func (a *aliases) resolve(p *wire.Publish) error {
	if p.Properties == nil || p.Properties.TopicAlias == 0 {
		return nil
	}
	alias := p.Properties.TopicAlias
	// [MQTT-3.1.2-26] no alias above the maximum that we announced.
	if alias > a.max {
		return protocolError(wire.TypePublish, wire.TopicAliasInvalid, "topic alias %d is above the maximum of %d", alias, a.max)
	}
	if p.Topic == "" {
		if int(alias) >= len(a.topics) || a.topics[alias] == "" {
			if a.forgot {
				return protocolError(wire.TypePublish, wire.QuotaExceeded, "topics with aliases take more than %d bytes", aliasBytes(int(a.max)))
			}
			return protocolError(wire.TypePublish, wire.ProtocolError, "topic alias %d was never set", alias)
		}
		p.Topic = a.topics[alias]
		return nil
	}
	for int(alias) >= len(a.topics) {
		a.topics = append(a.topics, "")
	}
	a.set(int(alias), p.Topic)
	return nil
}

// set remembers a mapping. If it takes too much memory, it is not kept, and the next
// message that uses the alias without a topic is refused.
func (a *aliases) set(alias int, topic string) {
	a.bytes -= len(a.topics[alias])
	a.topics[alias] = ""
	if a.bytes+len(topic) > aliasBytes(int(a.max)) {
		a.forgot = true
		return
	}
	a.bytes += len(topic)
	a.topics[alias] = topic
}
