package session

import (
	"hash/maphash"

	"github.com/seed65a45251/mqtt/wire"
)

const (
	// aliasWorthwhile is the shortest topic that gets an alias: the property takes
	// three bytes, and the first use needs both.
	aliasWorthwhile = 8
	// ghostsPerAlias is how many topics are remembered, as hashes, for each alias.
	ghostsPerAlias = 4
)

// outgoingAliases are the topic aliases that we set on one connection. Only a
// topic that comes again soon gets one, and takes it from another topic only if
// that was not used for a whole round, so that a long row of topics that occur
// once changes nothing. Memory is taken when the first topic is worth it.
type outgoingAliases struct {
	max        int
	byTopic    map[string]uint16
	entries    []outgoingAlias          // of alias n at n-1
	hand       int                      // the entry that is looked at next
	ghosts     [][ghostsPerAlias]uint64 // hashes of topics seen lately
	properties wire.PublishProperties   // of the message that is encoded
}

type outgoingAlias struct {
	topic string
	used  bool // since the hand passed
}

// UseAliases allows up to max topic aliases for the messages of this connection.
// Zero, as after the end of a connection, means none.
func (l *Link) UseAliases(max int) {
	l.aliases = nil
	if max > 0 {
		l.aliases = &outgoingAliases{max: max}
	}
}

// Aliases reports whether the first transmission of a message would use an alias,
// or may begin to, so that it has to be encoded for this connection alone.
func (l *Link) Aliases(topic string) bool {
	return l.aliases != nil && len(topic) >= aliasWorthwhile
}

// appendPublish encodes a message for its first transmission. It is not for
// repeats, which may come on another connection and then need their topic.
func (l *Link) appendPublish(p *wire.Publish) error {
	if !l.Aliases(p.Topic) || p.Properties != nil && p.Properties.TopicAlias != 0 {
		return l.appendWhole(p)
	}
	a := l.aliases
	alias, known := a.choose(p.Topic)
	if alias == 0 {
		return l.appendWhole(p)
	}
	q := *p
	a.properties = wire.PublishProperties{}
	if p.Properties != nil {
		a.properties = *p.Properties
	}
	a.properties.TopicAlias = alias
	q.Properties = &a.properties
	if known {
		q.Topic = ""
	}
	err := l.appendWhole(&q)
	a.properties = wire.PublishProperties{}
	if err != nil {
		// [MQTT-3.3.2-8] the peer has not heard of it. Without alias there may be room.
		a.forget(alias)
		return l.appendWhole(p)
	}
	return nil
}

// appendWhole is Append for a PUBLISH, which it keeps off the heap.
func (l *Link) appendWhole(p *wire.Publish) error {
	n := len(l.buf)
	b, err := p.Append(l.buf, l.Version)
	if err != nil {
		return err
	}
	if err := l.Limits.checkSize(len(b) - n); err != nil {
		return err
	}
	l.buf = b
	return nil
}

// choose returns the alias for topic, 0 for none, and whether the peer knows it.
func (a *outgoingAliases) choose(topic string) (alias uint16, known bool) {
	if alias, known = a.byTopic[topic]; known {
		a.entries[alias-1].used = true
		return alias, true
	}
	if !a.seenLately(topic) {
		return 0, false
	}
	if len(a.entries) < a.max {
		if a.byTopic == nil {
			a.byTopic = make(map[string]uint16)
		}
		a.entries = append(a.entries, outgoingAlias{})
		return a.set(len(a.entries)-1, topic), false
	}
	i := a.hand
	a.hand = (a.hand + 1) % len(a.entries)
	if a.entries[i].used {
		a.entries[i].used = false
		return 0, false
	}
	delete(a.byTopic, a.entries[i].topic)
	return a.set(i, topic), false
}

func (a *outgoingAliases) set(i int, topic string) uint16 {
	a.entries[i] = outgoingAlias{topic: topic, used: true}
	a.byTopic[topic] = uint16(i + 1)
	return uint16(i + 1)
}

// forget takes back an alias that was never sent with its topic.
func (a *outgoingAliases) forget(alias uint16) {
	delete(a.byTopic, a.entries[alias-1].topic)
	a.entries[alias-1] = outgoingAlias{}
}

var topicSeed = maphash.MakeSeed()

// seenLately says whether topic came already, and remembers that it did. Topics
// share out the buckets, in each of which the oldest makes room.
func (a *outgoingAliases) seenLately(topic string) bool {
	if a.ghosts == nil {
		a.ghosts = make([][ghostsPerAlias]uint64, a.max)
	}
	// Bit 0 is set so that no topic looks like an empty place.
	hash := maphash.String(topicSeed, topic) | 1
	bucket := &a.ghosts[hash>>1%uint64(len(a.ghosts))]
	for _, ghost := range bucket {
		if ghost == hash {
			return true
		}
	}
	copy(bucket[1:], bucket[:])
	bucket[0] = hash
	return false
}
