package broker

import (
	"slices"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/wire"
)

// group is a shared subscription: its members take turns. Members change under
// the write lock of Broker.mu only.
type group struct {
	whole   string
	place   *subscription // in the routing tree
	members []*subscription
	turn    atomic.Uint32
}

// join makes s a member of its group; Broker.mu is held.
func (h *hub) join(s *subscription) {
	g := h.groups[s.whole]
	if g == nil {
		g = &group{whole: s.whole}
		g.place = &subscription{filter: s.filter, group: g}
		h.groups[s.whole] = g
		h.routes.Insert(s.filter, g.place)
	}
	s.group = g
	g.members = append(g.members, s)
}

// part ends the membership of s; Broker.mu is held.
func (h *hub) part(s *subscription) {
	g := s.group
	g.members = slices.DeleteFunc(g.members, func(m *subscription) bool { return m == s })
	if len(g.members) == 0 {
		h.routes.Delete(g.place.filter, g.place)
		delete(h.groups, g.whole)
	}
}

// name returns the whole filter; empty: g is nil, there is no group.
func (g *group) name() string {
	if g == nil {
		return ""
	}
	return g.whole
}

// pick returns the member whose turn it is, or nil if none may have anything.
func (g *group) pick() *subscription {
	for s := range g.inTurn {
		return s
	}
	return nil
}

// inTurn yields all members, beginning with the one whose turn it is: first those who
// are connected, then those for whom messages are kept, then the rest. Those that lost
// their right are passed over.
func (g *group) inTurn(yield func(*subscription) bool) {
	n := len(g.members)
	first := int(g.turn.Add(1) % uint32(n))
	for rank := range 3 {
		for i := range n {
			s := g.members[(first+i)%n]
			if s.rank() == rank && !s.isBarred() && !yield(s) {
				return
			}
		}
	}
}

func (s *subscription) rank() int {
	switch {
	case s.client.online.Load():
		return 0
	case s.qos > wire.AtMostOnce:
		return 1
	}
	return 2
}
