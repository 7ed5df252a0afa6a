package session

import (
	"hash/maphash"

	"github.com/seed65a45251/mqtt/wire"
)

// aliasCost is the size of a topic alias in a packet, as a property. A topic that is
// not longer gains nothing from one.
const aliasCost = 3

// topicAliases choose topic aliases for what we send on one connection (5.0).
//
// A topic can get an alias when it is seen again. While there is space, the second
// time suffices. Later it takes over an alias only if it is worth clearly more than
// the topic that has it. A scan over many topics, each seen once, therefore changes
// nothing. The worth of a topic is how often it was seen lately times the bytes that
// its alias saves. The zero value chooses no aliases.
type topicAliases struct {
	max    int         // what both sides allow; 0: off
	last   int         // the alias used last, which is often the next one, too
	used   []usedAlias // by alias; the first entry is unused
	bytes  int         // of their topics
	hand   int         // where the next search for a victim begins
	seen   []seenTopic // by hash, in sets of setSize; a power of two
	filled int         // entries of seen that are taken
	age    int         // messages since all counts were halved
	seed   maphash.Seed
}

// usedAlias is an alias that the peer knows.
type usedAlias struct {
	topic string
	hash  uint64
	count uint32 // of messages lately
}

// seenTopic is a topic that has an alias, or that was seen lately.
type seenTopic struct {
	hash  uint64
	count uint32 // of messages lately, while there is no alias; 0: the entry is free
	alias uint16 // 0: none
}

const (
	maxAlias  = 65535
	firstSeen = 64
	maxSeen   = 16384
	setSize   = 4 // one cache line
)

// UseAliases allows up to n automatically chosen topic aliases for the messages of
// this connection. If n is not positive, there are none. [Client] calls it itself.
func (l *Link) UseAliases(n int) {
	l.aliases = nil
	if n > 0 {
		l.aliases = &topicAliases{max: min(n, maxAlias)}
	}
}

// Aliases reports whether the first transmission of a message may use an alias,
// so that it has to be encoded for this connection alone.
func (l *Link) Aliases(topic string) bool {
	return l.aliases != nil && len(topic) > aliasCost
}

// allocate allocates the tables when the first topic comes.
func (a *topicAliases) allocate() {
	a.seed = maphash.MakeSeed()
	a.used = make([]usedAlias, 1, min(a.max+1, firstSeen))
	a.seen = make([]seenTopic, firstSeen)
}

// choose returns the alias for a message on topic. known says that the peer has
// the mapping already; otherwise set has to follow once the message is on its
// way. 0 means none.
func (a *topicAliases) choose(topic string) (alias int, known bool) {
	if len(topic) <= aliasCost {
		return 0, false
	}
	if a.age++; a.age >= 16*len(a.seen) {
		if a.seen == nil {
			a.allocate()
		}
		a.halve()
	}
	if a.last == 0 || a.used[a.last].topic != topic {
		s := a.find(maphash.String(a.seed, topic))
		if s == nil {
			return 0, false
		}
		if s.alias == 0 {
			s.count++
			return a.admit(topic, s.count), false
		}
		if a.used[s.alias].topic != topic {
			return 0, false // another topic has the same hash
		}
		a.last = int(s.alias)
	}
	a.used[a.last].count++
	return a.last, true
}

// set notes that the peer is told the meaning of alias.
func (a *topicAliases) set(alias int, topic string) {
	if alias == len(a.used) {
		a.used = append(a.used, usedAlias{})
	} else if s := a.find(a.used[alias].hash); s != nil {
		s.alias, s.count = 0, a.used[alias].count+1
	}
	a.bytes += len(topic) - len(a.used[alias].topic)
	hash := maphash.String(a.seed, topic)
	s := a.find(hash) // not nil, because the topic was seen twice
	a.used[alias] = usedAlias{topic, hash, s.count}
	s.alias = uint16(alias)
	a.last = alias
}

// admit returns the alias for a topic that was seen count times, or 0.
func (a *topicAliases) admit(topic string, count uint32) int {
	if count < 2 {
		return 0
	}
	left := aliasBytes(a.max) - a.bytes - len(topic)
	if len(a.used) <= a.max && left >= 0 {
		return len(a.used)
	}
	// The victim is the least worth of a few. Taking its alias must pay: the peer has
	// to be told, and the topic that loses the alias may soon be back.
	victim := 0
	for range min(4, len(a.used)-1) {
		a.hand = a.hand%(len(a.used)-1) + 1
		if victim == 0 || a.worth(a.hand) < a.worth(victim) {
			victim = a.hand
		}
	}
	if victim == 0 || left+len(a.used[victim].topic) < 0 || uint64(count)*uint64(len(topic)-aliasCost) <= 2*a.worth(victim) {
		return 0
	}
	return victim
}

func (a *topicAliases) worth(alias int) uint64 {
	u := &a.used[alias]
	return uint64(u.count) * uint64(len(u.topic)-aliasCost)
}

// find returns the entry of a topic. It makes one with a count of 0 for a new topic;
// the caller raises the count. It returns nil if there is no free entry. It then
// lowers the count of another topic instead, so that topics seen once do not displace
// topics seen often.
func (a *topicAliases) find(hash uint64) *seenTopic {
	set := a.set4(hash)
	var least *seenTopic
	for i := range set {
		s := &set[i]
		if s.hash == hash && (s.count > 0 || s.alias != 0) {
			return s
		}
		if s.alias == 0 && (least == nil || s.count < least.count) {
			least = s
		}
	}
	full := least == nil || least.count == 0 && 2*a.filled >= len(a.seen)
	switch {
	case full && len(a.seen) < min(4*a.max, maxSeen):
		a.grow()
		return a.find(hash)
	case least == nil:
		return nil // all have an alias
	case least.count > 1:
		least.count--
		return nil
	case least.count == 0:
		a.filled++
	}
	*least = seenTopic{hash: hash}
	return least
}

// set4 returns the entries that may hold a topic.
func (a *topicAliases) set4(hash uint64) []seenTopic {
	i := hash & uint64(len(a.seen)-1) &^ (setSize - 1)
	return a.seen[i : i+setSize : i+setSize]
}

// grow doubles the memory for topics, up to what max aliases can make use of.
func (a *topicAliases) grow() {
	old := a.seen
	a.seen = make([]seenTopic, 2*len(old))
	for _, s := range old {
		if s.count == 0 && s.alias == 0 {
			continue
		}
		set := a.set4(s.hash) // holds entries of only one old set, so there is space
		for i := range set {
			if set[i].count == 0 && set[i].alias == 0 {
				set[i] = s
				break
			}
		}
	}
}

// halve halves all counts, so that older messages count less.
func (a *topicAliases) halve() {
	a.age, a.filled = 0, 0
	for i := range a.used {
		a.used[i].count /= 2
	}
	for i := range a.seen {
		s := &a.seen[i]
		if s.alias == 0 {
			s.count /= 2
		}
		if s.count > 0 || s.alias != 0 {
			a.filled++
		}
	}
}

// appendPublish is Append for the first transmission of a message, which may use
// a topic alias. A repeat never does: [MQTT-3.3.2-7] aliases belong to their
// connection.
func (l *Link) appendPublish(p *wire.Publish) error {
	if l.aliases == nil {
		return l.appendPlain(p)
	}
	return l.appendAliased(p)
}

// appendPlain is Append for a PUBLISH, which it keeps off the heap.
func (l *Link) appendPlain(p *wire.Publish) error {
	b, err := p.Append(l.buf, l.Version)
	if err == nil {
		err = l.Limits.checkSize(len(b) - len(l.buf))
	}
	if err == nil {
		l.buf = b
		l.packets++
	}
	return err
}

func (l *Link) appendAliased(p *wire.Publish) error {
	a := l.aliases
	if p.Properties != nil && p.Properties.TopicAlias != 0 {
		return &wire.FieldError{Packet: wire.TypePublish, Field: "TopicAlias", Problem: "is set although aliases are chosen automatically"}
	}
	alias, known := a.choose(p.Topic)
	if alias == 0 {
		return l.appendPlain(p)
	}
	n := len(l.buf)
	b, err := p.AppendAliased(l.buf, uint16(alias), known)
	if err != nil || l.Limits.checkSize(len(b)-n) != nil {
		return l.appendPlain(p) // with the alias it may be three bytes too large
	}
	l.buf = b
	l.packets++
	if !known {
		a.set(alias, p.Topic)
	}
	return nil
}
