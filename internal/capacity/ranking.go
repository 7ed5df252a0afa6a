package capacity

import "slices"

// ranking holds elements in the order of their numbers. Places of elements that were
// taken out are given up some time later, all at once: so taking out one of 100,000 costs
// no more than one of ten. The zero value is empty.
type ranking[E any] struct {
	places []place[E]
	gone   int // of places
}

type place[E any] struct {
	number  uint64
	element E
	gone    bool
}

// add puts e in its place, most often the last. No other has its number.
func (r *ranking[E]) add(number uint64, e E) {
	p := place[E]{number: number, element: e}
	if n := len(r.places); n == 0 || r.places[n-1].number < number {
		r.places = append(r.places, p)
		return
	}
	i, found := r.find(number)
	if found {
		r.places[i] = p // it was there before
		r.gone--
		return
	}
	r.places = slices.Insert(r.places, i, p)
}

// remove takes out the element with number, and says whether it was there.
func (r *ranking[E]) remove(number uint64) bool {
	i, found := r.find(number)
	if !found || r.places[i].gone {
		return false
	}
	r.places[i] = place[E]{number: number, gone: true}
	r.gone++
	for len(r.places) > 0 && r.places[0].gone {
		r.places = r.places[1:]
		r.gone--
	}
	if r.gone > 16 && 2*r.gone > len(r.places) {
		r.places = slices.DeleteFunc(r.places, func(p place[E]) bool { return p.gone })
		r.gone = 0
	}
	return true
}

func (r *ranking[E]) find(number uint64) (int, bool) {
	return slices.BinarySearchFunc(r.places, number, func(p place[E], number uint64) int {
		switch {
		case p.number < number:
			return -1
		case p.number > number:
			return 1
		}
		return 0
	})
}

func (r *ranking[E]) len() int { return len(r.places) - r.gone }
