package match

import "slices"

// set holds the distinct values under one filter. It has a list, because lookups walk
// through it, and an index into the list once the list is too long to search.
type set[V comparable] struct {
	filter string
	list   []V
	index  map[V]int // nil while the list is short
}

// indexFrom is the length from which a map is faster than searching the list.
const indexFrom = 32

func (s *set[V]) find(v V) int {
	if s.index == nil {
		return slices.Index(s.list, v)
	}
	if i, ok := s.index[v]; ok {
		return i
	}
	return -1
}

// add reports whether v is new.
func (s *set[V]) add(v V) bool {
	if s.find(v) >= 0 {
		return false
	}
	s.list = append(s.list, v)
	if s.index != nil {
		s.index[v] = len(s.list) - 1
	} else if len(s.list) >= indexFrom {
		s.index = make(map[V]int, len(s.list))
		for i, v := range s.list {
			s.index[v] = i
		}
	}
	return true
}

// remove removes v and reports whether it was there. The last value moves into its
// place.
func (s *set[V]) remove(v V) bool {
	i := s.find(v)
	if i < 0 {
		return false
	}
	last := len(s.list) - 1
	s.list[i] = s.list[last]
	clear(s.list[last:])
	s.list = s.list[:last]
	if s.index == nil {
		return true
	}
	if i < last {
		s.index[s.list[i]] = i
	}
	delete(s.index, v)
	// The index goes only at half of indexFrom, so that a length around indexFrom
	// does not build it repeatedly. The list is copied to free what it has grown to.
	if last < indexFrom/2 {
		s.index, s.list = nil, slices.Clone(s.list)
	}
	return true
}
