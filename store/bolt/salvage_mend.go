package bolt

import "slices"

// mend looks for the part without which the sum of all records is not what it should
// be: among the pages that are not in the tree there may be one that fits exactly, in
// addition to what there is or in the place of a part of it. It reports whether the sum
// is right.
func (s *salvager) mend(t *tree, sum uint64) bool {
	missing := (sum - t.sum) & sumMask
	if missing == 0 {
		return true
	}
	others := make(map[uint64]*tree)
	for id := range s.n {
		if !s.seen[id] {
			if other := s.wholeTree(id, 0); other != nil {
				others[other.sum&sumMask] = other
			}
		}
	}
	if other := others[missing]; other != nil {
		t.add(other)
		return true
	}
	for _, p := range t.parts {
		other := others[(missing+p.sum)&sumMask]
		if other != nil && (!p.keys.has(other.first) || !p.keys.has(other.last)) {
			other = nil
		}
		if own := s.wholeTree(p.id, 0); own != nil && (missing+p.sum-own.sum)&sumMask == 0 {
			other = own // the span of its keys was wrong
		}
		if other != nil {
			t.leaves = slices.Concat(t.leaves[:p.from], other.leaves, t.leaves[p.to:])
			return true
		}
	}
	return false
}
