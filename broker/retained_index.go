package broker

import (
	"cmp"
	"slices"
	"strings"
)

// topicIndex holds one message for each topic, in the order of the topics. A loop
// over it can stop after any topic and find its place again by the topic, whatever
// was added and removed meanwhile. The zero value is empty.
type topicIndex struct {
	blocks [][]*message // each in order, none empty, at most blockLength long
	len    int
}

// blockLength bounds how many entries a new topic has to move.
const blockLength = 256

// compareTopics orders topics so that the topics below a topic follow it directly: a
// / comes before every other character.
func compareTopics(a, b string) int {
	i, n := 0, min(len(a), len(b))
	for i+64 <= n && a[i:i+64] == b[i:i+64] {
		i += 64
	}
	for i < n && a[i] == b[i] {
		i++
	}
	switch {
	case i == n:
		return cmp.Compare(len(a), len(b))
	case a[i] == '/':
		return -1
	case b[i] == '/':
		return 1
	}
	return cmp.Compare(a[i], b[i])
}

// topicAfter returns the first topic that may follow topic. topicBeyond returns the
// first one that is not below topic.
func topicAfter(topic string) string  { return topic + "/" }
func topicBeyond(topic string) string { return topic + "\x01" }

// spot is the place of a message, or the place where it would be.
type spot struct{ block, index int }

// find returns the spot of the first topic that is topic or follows it.
func (x *topicIndex) find(topic string) (at spot, found bool) {
	at.block, _ = slices.BinarySearchFunc(x.blocks, topic, func(b []*message, topic string) int {
		return compareTopics(b[len(b)-1].publish.Topic, topic)
	})
	if at.block == len(x.blocks) {
		return at, false
	}
	at.index, found = slices.BinarySearchFunc(x.blocks[at.block], topic, func(m *message, topic string) int {
		return compareTopics(m.publish.Topic, topic)
	})
	return at, found
}

// at returns the message of a spot; nil: the spot is behind the last message.
func (x *topicIndex) at(p spot) *message {
	if p.block >= len(x.blocks) {
		return nil
	}
	return x.blocks[p.block][p.index]
}

func (x *topicIndex) next(p spot) spot {
	if p.index++; p.index == len(x.blocks[p.block]) {
		return spot{block: p.block + 1}
	}
	return p
}

// get returns the message of topic, or nil.
func (x *topicIndex) get(topic string) *message {
	at, found := x.find(topic)
	if !found {
		return nil
	}
	return x.at(at)
}

// set makes m the message of its topic.
func (x *topicIndex) set(m *message) {
	at, found := x.find(m.publish.Topic)
	if found {
		x.blocks[at.block][at.index] = m
		return
	}
	x.len++
	if at.block == len(x.blocks) {
		if at.block == 0 {
			x.blocks = [][]*message{{m}}
			return
		}
		at.block-- // at the end of the last one
		at.index = len(x.blocks[at.block])
	}
	block := slices.Insert(x.blocks[at.block], at.index, m)
	x.blocks[at.block] = block
	if n := len(block); n > blockLength {
		// Topics often come in order. The block that is left behind then stays nearly full.
		middle := n / 2
		if at.index == n-1 {
			middle = n - 1
		}
		x.blocks[at.block] = slices.Clone(block[:middle])
		x.blocks = slices.Insert(x.blocks, at.block+1, slices.Clone(block[middle:]))
	}
}

// remove removes the message of topic.
func (x *topicIndex) remove(topic string) {
	at, found := x.find(topic)
	if !found {
		return
	}
	x.len--
	block := slices.Delete(x.blocks[at.block], at.index, at.index+1)
	x.blocks[at.block] = block
	if i := at.block; i > 0 && len(block)+len(x.blocks[i-1]) <= blockLength/2 {
		x.blocks[i-1] = append(x.blocks[i-1], block...)
		block = nil
	}
	if len(block) == 0 {
		x.blocks = slices.Delete(x.blocks, at.block, at.block+1)
	}
}

// budget bounds the work that is done at a time.
type budget struct {
	topics int // to look at
	text   int // of them, in bytes
}

// step returns the budget of one step, which takes a fraction of a millisecond.
func step() budget { return budget{topics: 256, text: 64 << 10} }

func (e *budget) spend(topic string) {
	e.topics--
	e.text -= len(topic)
}

func (e *budget) spent() bool { return e.topics <= 0 || e.text <= 0 }

// walk calls yield for the messages that filter matches, beginning at the topic from,
// until yield returns false or the budget is spent. It returns the topic to continue
// with.
func (x *topicIndex) walk(filter, from string, e *budget, yield func(*message) bool) (next string, over bool) {
	at, _ := x.find(from)
	for {
		m := x.at(at)
		if m == nil {
			return "", true
		}
		topic := m.publish.Topic
		if e.spent() {
			return topic, false
		}
		e.spend(topic)
		matches, to, over := matchTopic(filter, topic)
		stop := matches && !yield(m)
		switch {
		case over:
			return "", true
		case stop:
			return cmp.Or(to, topicAfter(topic)), false
		case to == "":
			at = x.next(at)
		default:
			at, _ = x.find(to)
		}
	}
}

// all calls yield for all messages, beginning at the topic from, until the budget is
// spent. It returns the topic to continue with.
func (x *topicIndex) all(from string, e *budget, yield func(*message)) (next string, over bool) {
	for at, _ := x.find(from); ; at = x.next(at) {
		m := x.at(at)
		if m == nil {
			return "", true
		}
		topic := m.publish.Topic
		if e.spent() {
			return topic, false
		}
		e.spend(topic)
		yield(m)
	}
}

// matchTopic reports whether filter matches topic. to is the first topic behind it
// that filter may match; empty: the next one. over says that filter matches no further
// topic.
func matchTopic(filter, topic string) (matches bool, to string, over bool) {
	chosen := -1 // where the last level ends that a + stands for
	for rest, at := filter, 0; ; {
		level, below, more := strings.Cut(rest, "/")
		end := len(topic)
		if i := strings.IndexByte(topic[at:], '/'); i >= 0 {
			end = at + i
		}
		wild := level == "+" || level == "#" && !more
		if wild && at == 0 && topic[0] == '$' {
			// [MQTT-4.7.2-1]
			return false, topicBeyond(topic[:end]), false
		}
		if wild && level == "#" {
			return true, "", false
		}
		if order := strings.Compare(topic[at:end], level); level == "+" {
			chosen = end
		} else if order < 0 {
			return false, topic[:at] + level, false
		} else if order > 0 {
			to, over = beyond(topic, chosen)
			return false, to, over
		}
		if !more {
			to, over = beyond(topic, chosen)
			return end == len(topic), to, over
		}
		if end == len(topic) {
			return below == "#", "", false
		}
		rest, at = below, end+1
	}
}

// beyond returns the topic to continue with when nothing below the last + can match
// any more.
func beyond(topic string, chosen int) (to string, over bool) {
	if chosen < 0 {
		return "", true
	}
	return topicBeyond(topic[:chosen]), false
}
