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

type topicNode[V any] struct {
	children children[topicNode[V]]
	leaf     *leaf[V] // nil when no topic ends here
}

type leaf[V any] struct {
	topic string
	value V
}

// Set stores v for topic in place of what was stored before.
func (t *TopicTree[V]) Set(topic string, v V) {
	n := &t.root
	for rest, more := topic, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		n = n.children.add(level)
	}
	if n.leaf == nil {
		n.leaf = &leaf[V]{topic: topic}
		t.len++
	}
	n.leaf.value = v
}

// Get returns the value stored for topic.
func (t *TopicTree[V]) Get(topic string) (v V, ok bool) {
	n := &t.root
	for rest, more := topic, true; more && n != nil; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		n = n.children.at(level)
	}
	if n == nil || n.leaf == nil {
		return v, false
	}
	return n.leaf.value, true
}

// Delete removes topic and reports whether it was there. What no other topic
// needs is freed.
func (t *TopicTree[V]) Delete(topic string) bool {
	// stem is the last node on the way that another topic needs too, branch the
	// level by which the way leaves it: where to cut when nothing is left.
	n, stem, branch := &t.root, &t.root, ""
	for rest, more := topic, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if n == &t.root || n.leaf != nil || n.children.len() > 1 {
			stem, branch = n, level
		}
		if n = n.children.at(level); n == nil {
			return false
		}
	}
	if n.leaf == nil {
		return false
	}
	n.leaf = nil
	t.len--
	if n.children.len() == 0 {
		stem.children.remove(branch)
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
		level, rest, more := strings.Cut(filter, "/")
		switch {
		case level == "#" && !more:
			rest, more = "#", true
		case level != "+":
			t.root.match(filter, true, yield)
			return
		}
		// A wildcard in the first level does not match topics that start with $,
		// so it is resolved here, child by child. [MQTT-4.7.2-1]
		for level, child := range t.root.children.all() {
			if !strings.HasPrefix(level, "$") && !child.match(rest, more, yield) {
				return
			}
		}
	}
}

// match goes on below n with the levels in rest, if there are more, and reports
// whether to go on. It calls itself only at wildcards.
func (n *topicNode[V]) match(rest string, more bool, yield func(string, V) bool) bool {
	for more {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		switch {
		case level == "#" && !more:
			return n.all(yield)
		case level == "+":
			for _, child := range n.children.all() {
				if !child.match(rest, more, yield) {
					return false
				}
			}
			return true
		}
		if n = n.children.at(level); n == nil {
			return true
		}
	}
	return n.leaf == nil || yield(n.leaf.topic, n.leaf.value)
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
