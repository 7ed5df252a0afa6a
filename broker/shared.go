package broker

import (
	"slices"
	"sync/atomic"
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
func (b *Broker) join(s *subscription) {
	g := b.groups[s.whole]
	if g == nil {
		g = &group{whole: s.whole}
		g.place = &subscription{filter: s.filter, group: g}
		b.groups[s.whole] = g
		b.routes.Insert(s.filter, g.place)
	}
	s.group = g
	g.members = append(g.members, s)
}

// part ends the membership of s; Broker.mu is held.
func (b *Broker) part(s *subscription) {
	g := s.group
	g.members = slices.DeleteFunc(g.members, func(m *subscription) bool { return m == s })
	if len(g.members) == 0 {
		b.routes.Delete(g.place.filter, g.place)
		delete(b.groups, g.whole)
	}
}

// pick returns the member whose turn it is: the next one that is connected, or
// if nobody is, the next one.
func (g *group) pick() *subscription {
	n := len(g.members)
	first := int(g.turn.Add(1) % uint32(n))
	for i := range n {
		if s := g.members[(first+i)%n]; s.client.online.Load() {
			return s
		}
	}
	return g.members[first]
}
