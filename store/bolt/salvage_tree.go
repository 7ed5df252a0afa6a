package bolt

import (
	"bytes"
)

// tree is what was found of a tree of pages, or a part of it.
type tree struct {
	// leaves are the pages with records.
	leaves []*node
	sum    uint64
	// first and last are the first and the last key.
	first, last []byte
	// whole says that nothing is missing.
	whole bool
	// parts are the trees of which this one was made.
	parts []part
}

// part is a place in a tree, where the page id is: its leaves from one index to another.
type part struct {
	id       uint64
	from, to int
	sum      uint64
	keys     span
}

// add puts a tree at the end.
func (t *tree) add(sub *tree) {
	offset := len(t.leaves)
	t.leaves = append(t.leaves, sub.leaves...)
	for _, p := range sub.parts {
		p.from, p.to = p.from+offset, p.to+offset
		t.parts = append(t.parts, p)
	}
	t.sum += sub.sum
	if t.first == nil {
		t.first = sub.first
	}
	if sub.last != nil {
		t.last = sub.last
	}
	t.whole = t.whole && sub.whole
}

// salvager finds the tree of a damaged file.
type salvager struct {
	pages
	// seen has the pages of the tree, trail lists them in the order in which they were
	// found.
	seen  map[uint64]bool
	trail []uint64
	// exact has the whole trees below pages, nil where there is none.
	exact map[uint64]*tree
}

func newSalvager(p pages) *salvager {
	return &salvager{pages: p, seen: make(map[uint64]bool), exact: make(map[uint64]*tree)}
}

// undo forgets the pages that were found since the trail had a length.
func (s *salvager) undo(length int) {
	for _, id := range s.trail[length:] {
		delete(s.seen, id)
	}
	s.trail = s.trail[:length]
}

// grow returns what can be read below the page id, or nil if the page does not belong
// there: its keys are outside the span.
func (s *salvager) grow(id uint64, keys span) *tree {
	n, whole := s.load(id)
	if n == nil || s.seen[id] || keys.depth > maxDepth {
		return nil
	}
	start := len(s.trail)
	s.seen[id], s.trail = true, append(s.trail, id)
	var t *tree
	switch kind := n.kind(); kind {
	case leafPage:
		t = s.leaf(n, keys)
	case branchPage:
		t = s.branch(n, keys)
	default: // the header is damaged
		whole = false
		if t = s.leaf(n, keys); t != nil && t.first == nil {
			_ = n.read(s.size)
			t = s.branch(n, keys)
		}
	}
	if t == nil {
		s.undo(start)
		return nil
	}
	t.whole = t.whole && whole
	return t
}

func (s *salvager) leaf(n *node, keys span) *tree {
	t := &tree{leaves: []*node{n}}
	astray := false
	t.whole = n.records(func(key, sealed []byte) {
		t.sum += numberOf(sealed)
		if t.first == nil {
			t.first = bytes.Clone(key)
		}
		t.last = append(t.last[:0], key...)
		astray = astray || !keys.has(key)
	})
	if astray {
		return nil
	}
	t.parts = []part{{n.id, 0, 1, t.sum, keys}}
	n.head = nil // it is read again when the records are copied
	return t
}

func (s *salvager) branch(n *node, keys span) *tree {
	t := &tree{whole: true}
	children, whole := n.children(keys)
	for i, c := range children {
		start := len(s.trail)
		sub := s.grow(c.id, c.span(children[i+1:], keys))
		if sub == nil {
			whole = false
			continue
		}
		// A branch has the first key of each child. What may be no element at all counts
		// only if that is so.
		if !c.sure && !bytes.Equal(c.key, sub.first) {
			whole = false
			s.undo(start)
			continue
		}
		t.add(sub)
	}
	if len(t.leaves) == 0 {
		return nil
	}
	t.whole = t.whole && whole
	t.parts = append(t.parts, part{n.id, 0, len(t.leaves), t.sum, keys})
	return t
}

// wholeTree returns the tree below a page if all of it is there and as bbolt writes it,
// no matter whether the page is in use.
func (s *salvager) wholeTree(id uint64, depth int) *tree {
	if t, ok := s.exact[id]; ok {
		return t
	}
	s.exact[id] = nil // in case the page leads to itself
	n, whole := s.load(id)
	if n == nil || !whole || depth > maxDepth {
		return nil
	}
	var t *tree
	switch n.kind() {
	case leafPage:
		t = s.leaf(n, span{})
		t.parts = nil
	case branchPage:
		t = s.wholeBranch(n, depth)
	}
	if t == nil || !t.whole || t.first == nil {
		return nil
	}
	s.exact[id] = t
	return t
}

func (s *salvager) wholeBranch(n *node, depth int) *tree {
	children, whole := n.children(span{})
	if !whole {
		return nil
	}
	t := &tree{whole: true}
	for _, c := range children {
		sub := s.wholeTree(c.id, depth+1)
		if sub == nil || !bytes.Equal(sub.first, c.key) || t.last != nil && bytes.Compare(t.last, sub.first) >= 0 {
			return nil
		}
		t.add(sub)
	}
	return t
}
