package broker

import (
	"slices"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/wire"
)

// group is a shared subscription. Its members take turns. They change only under the
// write lock of hub.mu.
type group struct {
	whole   string
	route   *subscription // in the routing tree
	members []*subscription
	next    atomic.Uint32
}

// joinGroupLocked makes s a member of its group. Called with hub.mu held.
func (h *hub) joinGroupLocked(s *subscription) {
	g := h.groups[s.whole]
	if g == nil {
		g = &group{whole: s.whole}
		g.route = &subscription{filter: s.filter, group: g}
		h.groups[s.whole] = g
		h.routes.Insert(s.filter, g.route)
	}
	s.group = g
	g.members = append(g.members, s)
}

// leaveGroupLocked ends the membership of s. Called with hub.mu held.
func (h *hub) leaveGroupLocked(s *subscription) {
	g := s.group
	g.members = slices.DeleteFunc(g.members, func(m *subscription) bool { return m == s })
	if len(g.members) == 0 {
		h.routes.Delete(g.route.filter, g.route)
		delete(h.groups, g.whole)
	}
}

// name returns the whole filter. It is empty if g is nil.
func (g *group) name() string {
	if g == nil {
		return ""
	}
	return g.whole
}

// pickLocked returns the member whose turn it is, or nil if no member may get the
// message. Called with hub.mu held.
func (g *group) pickLocked() *subscription {
	for s := range g.candidatesLocked {
		return s
	}
	return nil
}

// candidatesLocked yields all members, beginning with the one whose turn it is: first
// the connected ones, then those whose session keeps messages, then the others. It
// leaves out members that are no longer allowed to read. Called with hub.mu held.
func (g *group) candidatesLocked(yield func(*subscription) bool) {
	n := len(g.members)
	first := int(g.next.Add(1) % uint32(n))
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
