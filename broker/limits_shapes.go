package broker

import (
	"strings"
)

// The lookup of a message in the tree of filters branches at each level where some
// filter has a +. The branches depend only on the levels at which the + stand, so
// there are no more of them than different sets of such levels, which are called
// shapes. The usual shapes are free. All others are bounded, and the user that brings
// a new one pays for it until no filter uses it any more.
type shapes struct {
	quota *quota
	used  map[string]*shapeUse
}

// shapeUse counts the filters of one shape. hub.mu guards it.
type shapeUse struct {
	filters int
	payer   *holder
}

const (
	// shapesMaximum bounds the shapes that are not free. A message that follows all of
	// them, with filters of 250 bytes, takes about a millisecond.
	shapesMaximum = 4096
	// freeLevels is the number of levels in which + are free: up to two of them
	// anywhere, or any number side by side.
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
	var shape []byte // one bit for each level
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

// fits reports whether the holder with a name may use a filter.
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

// add counts a filter, even beyond the limit.
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

// remove undoes add.
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
