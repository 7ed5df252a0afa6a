package match

import (
	"iter"
	"strings"
)

// TopicTree holds one value for each Topic Name and finds those whose topic a
// filter matches: the opposite direction of [Tree], for retained messages. The
// zero value is an empty tree.
//
// Topics are taken as they are. They should be valid, but any text is safe.
//
// A TopicTree is not safe for concurrent use, not even for concurrent lookups
// beside one Set or Delete.
type TopicTree[V any] struct {
	root topicNode[V] // the level before the first
	len  int
}

// topicNode is where topics part or end.
type topicNode[V any] struct {
	edge     string                 // the levels that lead here from the node above; the root has none
	children children[topicNode[V]] // by the first level of their edges
	leaf     *leaf[V]               // nil when no topic ends here
}

type leaf[V any] struct {
	topic string
	value V
}

// Set stores v for topic in place of what was stored before.
func (t *TopicTree[V]) Set(topic string, v V) {
	n := &t.root
	for rest, more := topic, true; more; {
		next := n.children.at(firstLevel(rest))
		if next == nil {
			// A copy, because the node may outlive the topic.
			next = &topicNode[V]{edge: strings.Clone(rest)}
			n.attach(next)
		}
		common := commonLevels(next.edge, rest)
		if common < len(next.edge) {
			next = n.split(next, common)
		}
		rest, more = after(rest, common)
		n = next
	}
	if n.leaf == nil {
		n.leaf = &leaf[V]{topic: topic}
		t.len++
	}
	n.leaf.value = v
}

// attach puts child below n, in place of one whose edge begins with the same level.
func (n *topicNode[V]) attach(child *topicNode[V]) {
	n.children.set(firstLevel(child.edge), child)
}

// split makes a node on the edge of child, behind its first bytes, and returns it.
func (n *topicNode[V]) split(child *topicNode[V], bytes int) *topicNode[V] {
	middle := &topicNode[V]{edge: strings.Clone(child.edge[:bytes])}
	child.edge = strings.Clone(child.edge[bytes+1:])
	middle.attach(child)
	n.attach(middle)
	return middle
}

// join makes one edge of two if nothing parts or ends at n, which is below above.
func (n *topicNode[V]) join(above *topicNode[V]) {
	if n.leaf != nil || n.children.len() != 1 {
		return
	}
	for _, child := range n.children.all() {
		child.edge = n.edge + "/" + child.edge
		above.attach(child)
	}
}

// Get returns the value stored for topic.
func (t *TopicTree[V]) Get(topic string) (v V, ok bool) {
	n, _, _ := t.find(topic)
	if n == nil || n.leaf == nil {
		return v, false
	}
	return n.leaf.value, true
}

// find returns the node at the end of topic and the two above it; nil: there is none.
func (t *TopicTree[V]) find(topic string) (n, parent, grandparent *topicNode[V]) {
	n = &t.root
	for rest, more := topic, true; more; {
		next := n.children.at(firstLevel(rest))
		if next == nil || !hasLevels(rest, next.edge) {
			return nil, nil, nil
		}
		rest, more = after(rest, len(next.edge))
		n, parent, grandparent = next, n, parent
	}
	return n, parent, grandparent
}

// Delete removes topic and reports whether it was there. What no other topic
// needs is freed.
func (t *TopicTree[V]) Delete(topic string) bool {
	n, parent, grandparent := t.find(topic)
	if n == nil || n.leaf == nil {
		return false
	}
	n.leaf = nil
	t.len--
	if n.children.len() == 0 {
		parent.children.remove(firstLevel(n.edge))
		n, parent = parent, grandparent
	}
	if parent != nil {
		n.join(parent)
	}
	return true
}

// Match ranges over the topics that filter matches and their values, in no
// particular order. The tree must not change meanwhile. A shared filter is
// passed as the part after the share name, see [SplitShared].
//
// The cost depends on what lies under the levels before the first wildcard, not
// on the size of the tree.
func (t *TopicTree[V]) Match(filter string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		if filter == "" {
			return
		}
		if level := firstLevel(filter); level != "+" && filter != "#" {
			t.root.match(filter, true, yield)
			return
		}
		// A wildcard in the first level does not match topics that start with $,
		// so it is resolved here, child by child. [MQTT-4.7.2-1]
		for level, child := range t.root.children.all() {
			if !strings.HasPrefix(level, "$") && !child.enter(filter, yield) {
				return
			}
		}
	}
}

// match goes on below n with the levels in rest, if there are more, and reports
// whether to go on.
func (n *topicNode[V]) match(rest string, more bool, yield func(string, V) bool) bool {
	switch level := firstLevel(rest); {
	case !more:
		return n.leaf == nil || yield(n.leaf.topic, n.leaf.value)
	case rest == "#":
		return n.all(yield)
	case level == "+":
		for _, child := range n.children.all() {
			if !child.enter(rest, yield) {
				return false
			}
		}
		return true
	default:
		next := n.children.at(level)
		return next == nil || next.enter(rest, yield)
	}
}

// enter goes on along the edge of n and below it, and reports whether to go on.
func (n *topicNode[V]) enter(rest string, yield func(string, V) bool) bool {
	for edge, more := n.edge, true; more; {
		if rest == "#" {
			return n.all(yield)
		}
		var topic, level string
		var left bool
		topic, edge, more = strings.Cut(edge, "/")
		level, rest, left = strings.Cut(rest, "/")
		if level != "+" && level != topic {
			return true
		}
		if !left {
			return more || n.leaf == nil || yield(n.leaf.topic, n.leaf.value)
		}
	}
	return n.match(rest, true, yield)
}

// all yields everything at and below n and reports whether to go on. It keeps a
// list of what is left instead of recursing, which would go as deep as the
// longest topic.
func (n *topicNode[V]) all(yield func(string, V) bool) bool {
	for left := []*topicNode[V]{n}; len(left) > 0; {
		n := left[len(left)-1]
		left = left[:len(left)-1]
		if n.leaf != nil && !yield(n.leaf.topic, n.leaf.value) {
			return false
		}
		for _, child := range n.children.all() {
			left = append(left, child)
		}
	}
	return true
}

// Len returns the number of topics.
func (t *TopicTree[V]) Len() int { return t.len }
