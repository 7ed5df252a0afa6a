package match

import (
	"iter"
	"strings"
)

// Tree holds values under Topic Filters and finds those whose filter matches a
// topic. The zero value is an empty tree.
//
// The cost of a lookup does not depend on how many filters do not match: one map
// access for all filters without wildcards, and a walk through the levels of the
// topic for the others, which takes both branches where a + stands beside the
// level's own text. So no more ways are walked than there are filters that have their
// + in different levels, whatever else stands in them.
//
// A filter costs its text and a node or two, however many levels it has.
//
// Filters are taken as they are. A shared filter goes in as the part after the
// share name, see [SplitShared]. They should be valid, but any text is safe.
//
// A Tree is not safe for concurrent use, not even for concurrent lookups beside
// one Insert or Delete.
type Tree[V comparable] struct {
	exact map[string]*set[V] // filters without wildcards
	wild  node[V]            // the others; the root is the level before the first
	len   int
}

// node is where filters that have a wildcard part or end.
type node[V comparable] struct {
	edge     string            // the levels that lead here from the node above; the root has none
	children children[node[V]] // by the first level of their edges
	plus     *node[V]          // the child whose edge begins with +
	here     *set[V]           // of the filter that ends here
	below    *set[V]           // of the filter that goes on with /# and ends
}

// Insert puts v under filter and reports whether it is new there. A value stands
// under a filter at most once.
func (t *Tree[V]) Insert(filter string, v V) bool {
	if !t.place(filter).add(v) {
		return false
	}
	t.len++
	return true
}

// place returns the set for filter and makes it when it is not there.
func (t *Tree[V]) place(filter string) *set[V] {
	if !HasWildcard(filter) {
		s := t.exact[filter]
		if s == nil {
			s = &set[V]{filter: filter}
			if t.exact == nil {
				t.exact = make(map[string]*set[V])
			}
			t.exact[filter] = s
		}
		return s
	}
	way, more, below := stem(filter)
	n := &t.wild
	for more {
		next := n.child(firstLevel(way))
		if next == nil {
			// A copy, because the node may outlive the filter.
			next = &node[V]{edge: strings.Clone(way)}
			n.attach(next)
		}
		common := commonLevels(next.edge, way)
		if common < len(next.edge) {
			next = n.split(next, common)
		}
		way, more = after(way, common)
		n = next
	}
	if below {
		return ensure(&n.below, filter)
	}
	return ensure(&n.here, filter)
}

// stem returns the levels of a filter that lead to its node, if there are any, and
// whether # follows them.
func stem(filter string) (way string, more, below bool) {
	if filter == "#" {
		return "", false, true
	}
	way, below = strings.CutSuffix(filter, "/#")
	return way, true, below
}

// child returns the node below n whose edge begins with level, or nil.
func (n *node[V]) child(level string) *node[V] {
	if level == "+" {
		return n.plus
	}
	return n.children.at(level)
}

// attach puts child below n, in place of one whose edge begins with the same level.
func (n *node[V]) attach(child *node[V]) {
	if level := firstLevel(child.edge); level == "+" {
		n.plus = child
	} else {
		n.children.set(level, child)
	}
}

// detach takes child away from below n.
func (n *node[V]) detach(child *node[V]) {
	if n.plus == child {
		n.plus = nil
	} else {
		n.children.remove(firstLevel(child.edge))
	}
}

// split makes a node on the edge of child, behind its first bytes, and returns it.
func (n *node[V]) split(child *node[V], bytes int) *node[V] {
	middle := &node[V]{edge: strings.Clone(child.edge[:bytes])}
	child.edge = strings.Clone(child.edge[bytes+1:])
	middle.attach(child)
	n.attach(middle)
	return middle
}

// join makes one edge of two if nothing parts or ends at n, which is below above.
func (n *node[V]) join(above *node[V]) {
	if n.here != nil || n.below != nil || n.uses() != 1 {
		return
	}
	child := n.plus
	for _, only := range n.children.all() {
		child = only
	}
	child.edge = n.edge + "/" + child.edge
	above.attach(child)
}

func ensure[V comparable](s **set[V], filter string) *set[V] {
	if *s == nil {
		*s = &set[V]{filter: filter}
	}
	return *s
}

// Delete takes v away from under filter and reports whether it was there. What
// no other filter needs is freed.
func (t *Tree[V]) Delete(filter string, v V) bool {
	if HasWildcard(filter) {
		if !t.deleteWild(filter, v) {
			return false
		}
	} else {
		s := t.exact[filter]
		if s == nil || !s.remove(v) {
			return false
		}
		if len(s.list) == 0 {
			delete(t.exact, filter)
		}
		if len(t.exact) == 0 {
			t.exact = nil // a map does not shrink
		}
	}
	t.len--
	return true
}

func (t *Tree[V]) deleteWild(filter string, v V) bool {
	var parent, grandparent *node[V]
	way, more, below := stem(filter)
	n := &t.wild
	for more {
		next := n.child(firstLevel(way))
		if next == nil || !hasLevels(way, next.edge) {
			return false
		}
		way, more = after(way, len(next.edge))
		n, parent, grandparent = next, n, parent
	}
	end := &n.here
	if below {
		end = &n.below
	}
	if *end == nil || !(*end).remove(v) {
		return false
	}
	if len((*end).list) > 0 {
		return true
	}
	*end = nil
	if parent != nil && n.uses() == 0 {
		parent.detach(n)
		n, parent = parent, grandparent
	}
	if parent != nil {
		n.join(parent)
	}
	return true
}

// uses counts what hangs on n.
func (n *node[V]) uses() int {
	uses := n.children.len()
	if n.plus != nil {
		uses++
	}
	if n.here != nil {
		uses++
	}
	if n.below != nil {
		uses++
	}
	return uses
}

// Append appends the values of all filters that match topic to dst and returns
// the result, in no particular order. A value that stands under several of them
// comes once for each. It allocates only when dst has no space.
func (t *Tree[V]) Append(dst []V, topic string) []V {
	t.walk(topic, func(values []V) bool {
		dst = append(dst, values...)
		return true
	})
	return dst
}

// Match ranges over what [Tree.Append] would append. The tree must not change
// meanwhile.
func (t *Tree[V]) Match(topic string) iter.Seq[V] {
	return func(yield func(V) bool) {
		t.walk(topic, func(values []V) bool {
			for _, v := range values {
				if !yield(v) {
					return false
				}
			}
			return true
		})
	}
}

// walk calls yield with the values of each filter that matches topic, until it
// returns false.
func (t *Tree[V]) walk(topic string, yield func([]V) bool) {
	if topic == "" {
		return
	}
	if s := t.exact[topic]; s != nil && !yield(s.list) {
		return
	}
	// # and + in the first level do not match a topic that starts with $, which
	// leaves the child of that name. [MQTT-4.7.2-1]
	if topic[0] == '$' {
		if n := t.wild.children.at(firstLevel(topic)); n != nil {
			if rest, more, ok := along(n.edge, topic); ok {
				n.walk(rest, more, yield)
			}
		}
		return
	}
	t.wild.walk(topic, true, yield)
}

// walk goes on below n with the levels in rest, if there are more. It visits
// each node once at most and calls itself only where the way forks.
func (n *node[V]) walk(rest string, more bool, yield func([]V) bool) bool {
	for {
		if n.below != nil && !yield(n.below.list) {
			return false
		}
		if !more {
			return n.here == nil || yield(n.here.list)
		}
		next := n.children.at(firstLevel(rest))
		if n.plus != nil {
			if next != nil {
				if rest, more, ok := along(next.edge, rest); ok && !next.walk(rest, more, yield) {
					return false
				}
			}
			next = n.plus
		}
		if next == nil {
			return true
		}
		var ok bool
		if rest, more, ok = along(next.edge, rest); !ok {
			return true
		}
		n = next
	}
}

// All ranges over every filter and value, in no particular order. The tree must
// not change meanwhile.
func (t *Tree[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, s := range t.exact {
			if !s.all(yield) {
				return
			}
		}
		// A list of what is left instead of recursion, which would go as deep as
		// the longest filter.
		for left := []*node[V]{&t.wild}; len(left) > 0; {
			n := left[len(left)-1]
			left = left[:len(left)-1]
			if !n.here.all(yield) || !n.below.all(yield) {
				return
			}
			if n.plus != nil {
				left = append(left, n.plus)
			}
			for _, child := range n.children.all() {
				left = append(left, child)
			}
		}
	}
}

// all yields the values of s, which may be nil, and reports whether to go on.
func (s *set[V]) all(yield func(string, V) bool) bool {
	if s == nil {
		return true
	}
	for _, v := range s.list {
		if !yield(s.filter, v) {
			return false
		}
	}
	return true
}

// Len returns the number of values, counted once for each filter they stand
// under.
func (t *Tree[V]) Len() int { return t.len }
