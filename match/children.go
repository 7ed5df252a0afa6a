package match

import (
	"iter"
)

// children are the nodes below a node, by the text of their level. Most nodes
// have one child; only those with several pay for a map.
type children[N any] struct {
	level string // of only
	only  *N
	many  map[string]*N // when there are two or more
}

func (c *children[N]) len() int {
	if c.only != nil {
		return 1
	}
	return len(c.many)
}

// at returns the child for level, or nil.
func (c *children[N]) at(level string) *N {
	if c.only != nil {
		if c.level == level {
			return c.only
		}
		return nil
	}
	return c.many[level]
}

// set makes n the child for level. It stores level itself, also in place of an equal
// string.
func (c *children[N]) set(level string, n *N) {
	switch {
	case c.many != nil:
		c.many[level] = n
	case c.only != nil && c.level != level:
		c.many = map[string]*N{c.level: c.only, level: n}
		c.level, c.only = "", nil
	default:
		c.level, c.only = level, n
	}
}

func (c *children[N]) remove(level string) {
	if c.only != nil {
		if c.level == level {
			*c = children[N]{}
		}
		return
	}
	delete(c.many, level)
	if len(c.many) == 1 {
		for level, n := range c.many {
			*c = children[N]{level: level, only: n}
		}
	}
}

// all ranges over the children in no particular order.
func (c *children[N]) all() iter.Seq2[string, *N] {
	return func(yield func(string, *N) bool) {
		if c.only != nil {
			yield(c.level, c.only)
			return
		}
		for level, n := range c.many {
			if !yield(level, n) {
				return
			}
		}
	}
}
