package broker

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/wire"
)

// group is a shared subscription. Its members take turns. They and their ranks change only
// under the write lock of hub.mu.
type group struct {
	whole string
	route *subscription          // in the routing tree
	ranks [ranks][]*subscription // the members by their rank, in no order
	next  atomic.Uint32
}

// seat is where a member is, so that it is found without a search.
type seat struct {
	at uint32 // in its rank of the group
	of uint32 // in the memberships of its client
}

// rank says how well a member can take a message.
type rank uint8

const (
	rankConnected rank = iota
	rankKeeps          // its session keeps messages
	rankAway
	ranks
)

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
	s.seat.of = uint32(len(s.client.memberships))
	s.client.memberships = append(s.client.memberships, s)
	g.add(s)
}

// leaveGroupLocked ends the membership of s. Called with hub.mu held.
func (h *hub) leaveGroupLocked(s *subscription) {
	g := s.group
	g.remove(s)
	cl := s.client
	last := len(cl.memberships) - 1
	moved := cl.memberships[last]
	cl.memberships[s.seat.of], moved.seat.of = moved, s.seat.of
	cl.memberships[last] = nil
	cl.memberships = cl.memberships[:last]
	if g.isEmpty() {
		h.routes.Delete(g.route.filter, g.route)
		delete(h.groups, g.whole)
	}
}

func (g *group) add(s *subscription) {
	r := s.rankNow()
	s.rank, s.seat.at = r, uint32(len(g.ranks[r]))
	g.ranks[r] = append(g.ranks[r], s)
}

func (g *group) remove(s *subscription) {
	list := g.ranks[s.rank]
	last := len(list) - 1
	moved := list[last]
	list[s.seat.at], moved.seat.at = moved, s.seat.at
	list[last] = nil
	g.ranks[s.rank] = list[:last]
}

func (g *group) isEmpty() bool {
	for _, list := range g.ranks {
		if len(list) > 0 {
			return false
		}
	}
	return true
}

// setOnlineLocked notes that the client has come or gone, also in its groups. Called with
// hub.mu and mu held.
func (cl *client) setOnlineLocked(online bool) {
	cl.online.Store(online)
	for _, s := range cl.memberships {
		s.group.remove(s)
		s.group.add(s)
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
	turn := g.next.Add(1)
	for _, list := range g.ranks {
		for i := range list {
			s := list[(uint64(turn)+uint64(i))%uint64(len(list))]
			if !s.isBarred() && !yield(s) {
				return
			}
		}
	}
}

// rankNow is the rank that s should have. Called with hub.mu held.
func (s *subscription) rankNow() rank {
	switch {
	case s.client.online.Load():
		return rankConnected
	case s.qos > wire.AtMostOnce:
		return rankKeeps
	}
	return rankAway
}
