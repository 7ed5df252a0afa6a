package tail

import (
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
)

const (
	deepest        = 64      // levels; the rest of a topic is one level
	keptPayload    = 8 << 10 // bytes of a payload that are kept
	keptBytes      = 32 << 20
	rateSmoothing  = 0.3 // how much the last second counts
	overheadOfKept = 512 // bytes of a message that is kept, beside its payload
)

// limits bound what is kept.
type limits struct {
	topics  int // nodes of the tree
	history int // messages of each topic
}

// tree is what has come so far. Its methods are safe for concurrent use.
type tree struct {
	limits limits

	mu       sync.Mutex
	root     *node
	nodes    int
	leftOut  uint64     // messages of topics for which there was no room
	kept     *list.List // of *kept, the oldest first
	bytes    int        // of all that is kept
	ended    time.Time  // of the last second in the rates
	messages uint64
}

// node is one level of a topic, with what is below it.
type node struct {
	name     string
	topic    string // whole
	parent   *node
	children []*node // by name
	byName   map[string]*node

	history  []*kept   // messages of the topic itself, the oldest first
	last     time.Time // of it and of all below
	own      uint64    // messages of the topic itself
	messages uint64    // of it and of all below
	counted  uint64    // of them, those that rate has seen
	rate     float64
}

// kept is a message of which the content is kept.
type kept struct {
	message *mqtt.Message // with the beginning of the payload
	size    int           // of the whole payload
	at      time.Time
	node    *node
	element *list.Element
}

func newTree(l limits, now time.Time) *tree {
	return &tree{limits: l, root: &node{}, kept: list.New(), ended: now}
}

// record takes a message that has arrived.
func (t *tree) record(m *mqtt.Message, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.messages++
	n := t.find(m.Topic)
	if n == nil {
		t.leftOut++
		return
	}
	n.own++
	for a := n; a != nil; a = a.parent {
		a.messages++
		a.last = now
	}
	t.keep(n, m, now)
}

// find returns the node of a topic, and makes those that are missing, or nil if there is
// no room for them.
func (t *tree) find(topic string) *node {
	levels := strings.SplitN(topic, "/", deepest)
	n := t.root
	for i, name := range levels {
		child := n.byName[name]
		if child == nil {
			if t.nodes+len(levels)-i > t.limits.topics {
				return nil
			}
			child = t.grow(n, name)
		}
		n = child
	}
	return n
}

func (t *tree) grow(n *node, name string) *node {
	t.nodes++
	// What is kept must not keep the message alive that it came with.
	child := &node{name: strings.Clone(name), parent: n}
	child.topic = child.name
	if n != t.root {
		child.topic = n.topic + "/" + child.name
	}
	if n.byName == nil {
		n.byName = map[string]*node{}
	}
	n.byName[child.name] = child
	i, _ := slices.BinarySearchFunc(n.children, child.name, func(c *node, name string) int { return compareNames(c.name, name) })
	n.children = slices.Insert(n.children, i, child)
	return child
}

// keep keeps the message, and lets go of what is too much: of its topic, and of all.
func (t *tree) keep(n *node, m *mqtt.Message, now time.Time) {
	k := &kept{message: m.Clone(), size: len(m.Payload), at: now, node: n}
	if len(m.Payload) > keptPayload {
		k.message.Payload = slices.Clone(m.Payload[:keptPayload])
	}
	k.element = t.kept.PushBack(k)
	n.history = append(n.history, k)
	t.bytes += k.cost()
	if len(n.history) > t.limits.history {
		t.release(n.history[0])
	}
	for t.bytes > keptBytes {
		t.release(t.kept.Front().Value.(*kept))
	}
}

// release lets go of the oldest message that is kept of a topic.
func (t *tree) release(k *kept) {
	t.kept.Remove(k.element)
	t.bytes -= k.cost()
	k.node.history = slices.Delete(k.node.history, 0, 1)
}

// cost returns roughly the bytes that k takes.
func (k *kept) cost() int {
	m := k.message
	n := overheadOfKept + len(m.Payload) + len(m.Topic) + len(m.ContentType) + len(m.ResponseTopic) + len(m.CorrelationData)
	for _, p := range m.UserProperties {
		n += 2*len("0123456789abcdef") + len(p.Name) + len(p.Value)
	}
	return n
}

// tick brings the rates up to date, once a second or less often.
func (t *tree) tick(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	passed := now.Sub(t.ended).Seconds()
	if passed < 1 {
		return
	}
	t.ended = now
	t.root.count(passed)
}

func (n *node) count(passed float64) {
	current := float64(n.messages-n.counted) / passed
	n.counted = n.messages
	n.rate += rateSmoothing * (current - n.rate)
	if n.rate < 0.005 {
		n.rate = 0
	}
	for _, child := range n.children {
		child.count(passed)
	}
}

// current returns the newest message that is kept of the topic, or nil.
func (n *node) current() *kept {
	if len(n.history) == 0 {
		return nil
	}
	return n.history[len(n.history)-1]
}
