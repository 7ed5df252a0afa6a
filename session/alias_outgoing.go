package session

import (
	"hash/maphash"

	"github.com/seed65a45251/mqtt/wire"
)

// aliasCost is what a topic alias takes in a packet: its property. A topic that
// is no longer gains nothing.
const aliasCost = 3

// topicAliases choose topic aliases for what we send on one connection (5.0).
//
// A topic gets an alias when it is seen again: the second time while there is
// space, later only if it is worth clearly more than another that has one. So a
// scan over many topics, each seen once, changes nothing. Worth is how often a
// topic was seen lately times the bytes that its alias saves. The zero value
// chooses none.
type topicAliases struct {
	max    int         // what both sides allow; 0: off
	last   int         // the alias used last: in many streams it is the next one, too
	used   []usedAlias // by alias; the first is unused
	bytes  int         // of their topics
	hand   int         // where the next search for a victim begins
	seen   []seenTopic // by hash, in sets of setSize; a power of two
	filled int         // entries of seen that are taken
	age    int         // messages since all counts were halved
	seed   maphash.Seed
}

// usedAlias is what the peer knows.
type usedAlias struct {
	topic string
	hash  uint64
	count uint32 // of messages lately
}

// seenTopic is a topic with an alias, or one that was seen lately.
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

// UseAliases allows up to n topic aliases, chosen automatically, for the
// messages of this connection; none if n is not positive. [Client] does it by itself.
func (l *Link) UseAliases(n int) { l.aliases = topicAliases{max: min(max(n, 0), maxAlias)} }

// Aliases reports whether the first transmission of a message may use an alias,
// so that it has to be encoded for this connection alone.
func (l *Link) Aliases(topic string) bool {
	return l.aliases.max > 0 && len(topic) > aliasCost
}

// allocate takes memory when the first topic comes.
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
			return 0, false // another one has the same hash
		}
		a.last = int(s.alias)
	}
	a.used[a.last].count++
	return a.last, true
}

// set notes that the peer is told what alias means.
func (a *topicAliases) set(alias int, topic string) {
	if alias == len(a.used) {
		a.used = append(a.used, usedAlias{})
	} else if s := a.find(a.used[alias].hash); s != nil {
		s.alias, s.count = 0, a.used[alias].count+1
	}
	a.bytes += len(topic) - len(a.used[alias].topic)
	hash := maphash.String(a.seed, topic)
	s := a.find(hash) // there: it was seen twice
	a.used[alias] = usedAlias{topic, hash, s.count}
	s.alias = uint16(alias)
	a.last = alias
}

// admit returns the alias that a topic may have which was seen count times; 0:
// none.
func (a *topicAliases) admit(topic string, count uint32) int {
	if count < 2 {
		return 0
	}
	left := aliasBytes(a.max) - a.bytes - len(topic)
	if len(a.used) <= a.max && left >= 0 {
		return len(a.used)
	}
	// The least of a few. Taking it over must pay: the peer has to be told, and the
	// topic that loses its alias may be back soon.
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

// find returns the entry of a topic. A new one is entered, with a count of 0 that
// the caller raises; nil means that it found no place. It wears down another one
// then, so that what comes once does not drive out what comes often.
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

// set4 returns the places that a topic can have.
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
		set := a.set4(s.hash) // takes entries of one old set only, so there is space
		for i := range set {
			if set[i].count == 0 && set[i].alias == 0 {
				set[i] = s
				break
			}
		}
	}
}

// halve makes what was long ago count less.
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
	if l.aliases.max == 0 {
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
	}
	return err
}

func (l *Link) appendAliased(p *wire.Publish) error {
	a := &l.aliases
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
		return l.appendPlain(p) // three bytes too large, perhaps
	}
	l.buf = b
	if !known {
		a.set(alias, p.Topic)
	}
	return nil
}
