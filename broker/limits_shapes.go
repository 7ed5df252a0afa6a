package broker

import (
	"strings"
)

// A message is looked for in the tree of filters along every way that a + opens beside
// the level's own text. Which way that is depends on nothing but the levels in which
// the + stand, so there are no more ways than there are different sets of such levels,
// the shapes of filters. Those that people use are few and free. All others are
// bounded, and whoever brings a new one pays for it until nobody uses it any more.
type shapes struct {
	quota *quota
	used  map[string]*shapeUse
}

// shapeUse is the filters of one shape. hub.mu guards it.
type shapeUse struct {
	filters int
	payer   *holder
}

const (
	// shapesMaximum is how many shapes there may be that are not free. When a message
	// goes along all of them, and each is 250 bytes long, that takes about a millisecond.
	shapesMaximum = 4096
	// freeLevels is up to where a + costs nothing if there are at most two, or any
	// number side by side.
	freeLevels = 16
)

func newShapes() shapes {
	return shapes{quota: newQuota(shapesMaximum), used: make(map[string]*shapeUse)}
}

// shapeOf returns the shape of a filter; empty: a free one.
func shapeOf(filter string) string {
	if !strings.Contains(filter, "+") {
		return ""
	}
	var shape []byte // a bit for each level
	count, first, last := 0, 0, 0
	level := 0
	for text := range strings.SplitSeq(filter, "/") {
		if text == "+" {
			for len(shape) <= level/8 {
				shape = append(shape, 0)
			}
			shape[level/8] |= 1 << (level % 8)
			if count++; count == 1 {
				first = level
			}
			last = level
		}
		level++
	}
	if last < freeLevels && (count <= 2 || last-first == count-1) {
		return ""
	}
	return string(shape)
}

// fits reports whether the holder of a name may use a filter.
func (s *shapes) fits(filter, name string) bool {
	shape := shapeOf(filter)
	if shape == "" || s.used[shape] != nil {
		return true
	}
	h := s.quota.join(name)
	defer h.leave()
	if !h.take(1) {
		return false
	}
	h.give(1)
	return true
}

// add counts a filter, for which there need not be space.
func (s *shapes) add(filter, name string) {
	shape := shapeOf(filter)
	if shape == "" {
		return
	}
	use := s.used[shape]
	if use == nil {
		use = &shapeUse{payer: s.quota.join(name)}
		use.payer.charge(1)
		s.used[shape] = use
	}
	use.filters++
}

// remove is the end of what add began.
func (s *shapes) remove(filter string) {
	shape := shapeOf(filter)
	if use := s.used[shape]; use != nil {
		if use.filters--; use.filters == 0 {
			use.payer.give(1)
			use.payer.leave()
			delete(s.used, shape)
		}
	}
}
