package broker

import (
	"cmp"
	"slices"
)

// ordered is a subscription and its order, which is not looked up again forevery
// comparison: thousands of subscriptions lie all over the memory.
type ordered struct {
	order        uint64
	subscription *subscription
}

// gather puts subscriptions of one client next to each other.
func (r *router) gather() {
	r.ordered = r.ordered[:0]
	for _, s := range r.matched {
		r.ordered = append(r.ordered, ordered{s.order(), s})
	}
	slices.SortFunc(r.ordered, func(a, b ordered) int { return cmp.Compare(a.order, b.order) })
	for i, o := range r.ordered {
		r.matched[i] = o.subscription
	}
	clear(r.ordered)
}
