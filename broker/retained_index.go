package broker

import (
	"cmp"
	"strings"

	"github.com/seed65a45251/mqtt/internal/sorted"
)

// topicIndex holds one message for each topic, in the order of the topics. A loop
// over it can stop after any topic and find its place again by the topic, whatever
// was added and removed meanwhile. The zero value is empty.
type topicIndex struct{ sorted.List[*message] }

// Compare makes messages lie in the order of their topics.
func (m *message) Compare(topic string) int { return compareTopics(m.publish.Topic, topic) }

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

// get returns the message of topic, or nil.
func (x *topicIndex) get(topic string) *message {
	m, _ := x.Get(topic)
	return m
}

// set makes m the message of its topic.
func (x *topicIndex) set(m *message) { x.Set(m.publish.Topic, m) }

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
	at, _ := x.Find(from)
	for {
		m, there := x.At(at)
		if !there {
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
			at = x.Next(at)
		default:
			at, _ = x.Find(to)
		}
	}
}

// all calls yield for all messages, beginning at the topic from, until the budget is
// spent. It returns the topic to continue with.
func (x *topicIndex) all(from string, e *budget, yield func(*message)) (next string, over bool) {
	for m := range x.From(from) {
		topic := m.publish.Topic
		if e.spent() {
			return topic, false
		}
		e.spend(topic)
		yield(m)
	}
	return "", true
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
