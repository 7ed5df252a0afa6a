package mqtt

import (
	"slices"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// route is one filter and the Subscriptions that want it. Guarded by router.mu.
type route struct {
	filter string   // as subscribed, with $share
	topics []string // what topics are matched against; the first is the usual one
	subs   members
	asking int      // those of subs for which the server is asked
	asked  Filter   // what one of them has asked for; NoLocal is the same for all
	keeps  int      // those of subs that have asked for the retain flag as it was published
	groups []*group // with whose identifier it is subscribed; one, or none if only Client.Route has it
	place  int      // in the routes of its group
	mixed  bool     // not all that have wanted it have the same options. It stays so: before 5.0 the server keeps the wider ones
	// newcomers has those of subs for whose SUBSCRIBE retained messages may still come,
	// which the others have had, and some for whom they have come; see recent.
	newcomers members
	newest    uint64 // the number of the last that was a newcomer
	tidied    int    // how many newcomers were left when they were last looked at
}

// join adds s, which asks for f, and reports whether the options are mixed from now on.
func (t *route) join(s *Subscription, f Filter) (mixes bool) {
	if f.RetainAsPublished {
		t.keeps++
	}
	if s.kind != kindLocal {
		if t.subs.len() > 0 {
			t.welcome(s)
		}
		if t.asking == 0 {
			t.asked = f
		}
		mixes = !t.mixed && (f.QoS != t.asked.QoS || f.RetainAsPublished != t.asked.RetainAsPublished)
		t.mixed = t.mixed || mixes
		t.asking++
	}
	t.subs.add(s)
	return mixes
}

func (t *route) leave(s *Subscription) {
	if s.optionsOf(t.filter).RetainAsPublished {
		t.keeps--
	}
	if s.kind != kindLocal {
		t.asking--
	}
	t.subs.remove(s)
	t.newcomers.remove(s)
}

// welcome makes s a newcomer. Those that have their answer are none any more.
func (t *route) welcome(s *Subscription) {
	t.newest = s.number
	if n := t.newcomers.len(); n >= 2*max(t.tidied, fewMembers) {
		left := t.recent()
		t.newcomers = members{}
		for _, o := range left {
			t.newcomers.add(o)
		}
		t.tidied = len(left)
	}
	t.newcomers.add(s)
}

// recent returns the newcomers without those that had their answer when the last one
// came.
func (t *route) recent() []*Subscription {
	had := func(s *Subscription) bool { return s.granted != nil && s.grantedAt < t.newest }
	if !slices.ContainsFunc(t.newcomers.list, had) {
		return t.newcomers.list
	}
	return slices.DeleteFunc(slices.Clone(t.newcomers.list), had)
}

// receivers returns those that want what the server sends for t.
func (t *route) receivers(p *wire.Publish) []*Subscription {
	if p.Retain && t.newcomers.len() > 0 && !t.keepsRetain() {
		if recent := t.recent(); len(recent) > 0 {
			return recent
		}
	}
	return t.subs.list
}

// keepsRetain says that the server keeps the retain flag of new messages, because
// somebody asked for it.
func (t *route) keepsRetain() bool { return t.keeps > 0 }

// matches says whether topic may come from the server's subscription to t.
func (t *route) matches(topic string) bool {
	for _, filter := range t.topics {
		if match.MatchPlain(filter, topic) {
			return true
		}
	}
	return false
}

// group is the filters that are subscribed with one identifier. Guarded by router.mu.
type group struct {
	id     uint32
	routes []*route // in no order
}

func (g *group) add(t *route) {
	t.place = len(g.routes)
	t.groups = append(t.groups, g)
	g.routes = append(g.routes, t)
}

// remove takes t out, whose only group it is.
func (g *group) remove(t *route) {
	last := len(g.routes) - 1
	moved := g.routes[last]
	g.routes[t.place], moved.place = moved, t.place
	g.routes[last] = nil
	g.routes = g.routes[:last]
	t.groups = nil
}

// single says that whatever the server sends for g goes to one Subscription.
func (g *group) single() bool { return len(g.routes) == 1 && g.routes[0].subs.len() == 1 }

// members are Subscriptions, in no order. Taking one out takes the same time however many
// there are.
type members struct {
	list  []*Subscription
	index map[*Subscription]int // of list; nil: they are few
}

// fewMembers is up to how many are searched one by one.
const fewMembers = 16

func (m *members) len() int { return len(m.list) }

func (m *members) add(s *Subscription) {
	m.list = append(m.list, s)
	switch {
	case m.index != nil:
		m.index[s] = len(m.list) - 1
	case len(m.list) > fewMembers:
		m.index = make(map[*Subscription]int, len(m.list))
		for i, s := range m.list {
			m.index[s] = i
		}
	}
}

// remove takes s out, if it is there.
func (m *members) remove(s *Subscription) {
	i, there := m.find(s)
	if !there {
		return
	}
	last := len(m.list) - 1
	if m.index != nil {
		delete(m.index, s)
		if i < last {
			m.index[m.list[last]] = i
		}
	}
	m.list[i] = m.list[last]
	m.list[last] = nil
	if m.list = m.list[:last]; last < fewMembers/2 && m.index != nil {
		m.list, m.index = slices.Clone(m.list), nil
	}
}

func (m *members) find(s *Subscription) (i int, there bool) {
	if m.index != nil {
		i, there = m.index[s]
		return i, there
	}
	i = slices.Index(m.list, s)
	return i, i >= 0
}
