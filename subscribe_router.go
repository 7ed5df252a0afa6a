package mqtt

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// router is the table of filters: it finds the Subscriptions of a message.
//
// Each filter is subscribed with a subscription identifier where the server has
// them, so that a message says to which Subscriptions it belongs even where filters overlap. The
// filters that a Subscription is the first to want share one. Without identifiers
// the tree of filters decides. Several Subscriptions may have the same filter: it
// keeps its identifier as long as anybody wants it. What the server has is the
// business of session.Subscriptions.
type router struct {
	mu     sync.Mutex        // guards all below, and the part of Subscriptions that says so
	routes map[string]*route // by filter as subscribed
	tree   match.Tree[*route]
	groups map[uint32]*group // by subscription identifier
	lastID uint32            // begins anywhere: a session of before may use others
	added  uint64            // Subscriptions so far
	mixed  int               // filters whose Subscriptions have different options
	// inherited says that the server may have identifiers of an earlier process.
	inherited bool
	subs      map[uint64]*Subscription // by Subscription.number
	emptying  map[uint64]*Subscription // taken out; their consumers are not done yet
	closed    error                    // why no more are added, except for Requests; nil: they are
	over      bool                     // not for Requests either

	prefixes filterPrefixes
	scratch  []*route
	found    uint64 // messages whose Subscriptions were looked for
	last     shortcut
}

// maxSubscriptionID is the largest a server accepts.
const maxSubscriptionID = wire.MaxRemainingLength

func (r *router) init(prefixes []string, resume bool) {
	r.prefixes = prefixes
	if resume { // the session may have the identifiers of an earlier process
		r.lastID = rand.Uint32N(maxSubscriptionID)
	}
}

// addLocked registers s, so that messages reach it from now on.
func (r *router) addLocked(s *Subscription) error {
	if r.closed != nil && (r.over || s.kind != kindResponses) {
		return r.closed
	}
	if err := r.conflictLocked(s); err != nil {
		return err
	}
	if r.routes == nil {
		r.routes, r.groups = make(map[string]*route), make(map[uint32]*group)
	}
	r.last = shortcut{}
	r.added++
	s.number, s.left = r.added, math.MaxUint64
	s.state = s.state.after(moveAdd)
	if s.kind == kindLocal {
		s.state = s.state.after(moveGranted) // nobody is asked
	}
	put(&r.subs, s)
	if len(s.options.Filters) > fewRoutes {
		s.index = make(map[string]int, len(s.options.Filters))
	}
	g := new(group)
	for i, f := range s.options.Filters {
		t := r.routeOfLocked(f.Filter)
		if t.join(s, f) {
			r.mixed++
		}
		s.routes = append(s.routes, t)
		if s.index != nil {
			s.index[f.Filter] = i
		}
		if len(t.groups) == 0 && s.kind != kindLocal {
			g.add(t)
		}
	}
	if len(g.routes) > 0 {
		g.id = r.newIDLocked()
		r.groups[g.id] = g
	}
	return nil
}

// conflictLocked says why s cannot share a filter with a Subscription that has it: what
// the server must not send to one it must send to the other, and it keeps one set of
// options for both.
func (r *router) conflictLocked(s *Subscription) error {
	for _, f := range s.options.Filters {
		t := r.routes[f.Filter]
		if t != nil && s.kind != kindLocal && t.asking > 0 && t.asked.NoLocal != f.NoLocal {
			return invalid("filter", "%.80q has a Subscription with NoLocal %t; a server keeps one set of options for each filter", f.Filter, !f.NoLocal)
		}
	}
	return nil
}

// routeOfLocked returns the route of a filter, made if need be.
func (r *router) routeOfLocked(filter string) *route {
	t := r.routes[filter]
	if t == nil {
		t = &route{filter: filter, topics: r.prefixes.topics(filter)}
		r.routes[filter] = t
		for _, topics := range t.topics {
			r.tree.Insert(topics, t)
		}
	}
	return t
}

// renewedLocked notes that all filters are subscribed again: what is retained is for all.
func (r *router) renewedLocked() {
	for _, t := range r.routes {
		t.newcomers = members{}
	}
}

func (r *router) newIDLocked() uint32 {
	for {
		r.lastID = r.lastID%maxSubscriptionID + 1
		if r.groups[r.lastID] == nil {
			return r.lastID
		}
	}
}

// removeLocked takes s out and returns the routes that nobody wants any more. Removing
// it again does nothing.
func (r *router) removeLocked(s *Subscription) (orphans []*route) {
	if !r.hasLocked(s) {
		return nil
	}
	s.state = s.state.after(moveRemove)
	delete(r.subs, s.number)
	s.left = r.added
	r.last = shortcut{}
	for _, t := range s.routes {
		t.leave(s)
		if t.subs.len() > 0 {
			continue
		}
		orphans = append(orphans, t)
		delete(r.routes, t.filter)
		if t.mixed {
			r.mixed--
		}
		r.ungroupLocked(t)
		for _, topics := range t.topics {
			r.tree.Delete(topics, t)
		}
	}
	return orphans
}

// hasLocked says whether messages reach s.
func (r *router) hasLocked(s *Subscription) bool { return r.subs[s.number] != nil }

// ungroupLocked forgets the identifier of a filter that nobody wants any more.
func (r *router) ungroupLocked(t *route) {
	for _, g := range t.groups {
		if g.remove(t); len(g.routes) == 0 {
			delete(r.groups, g.id)
		}
	}
}

// successorsLocked returns the Subscriptions with higher numbers than last that want some of
// messages, in their order.
func (r *router) successorsLocked(last uint64, messages []*Message) (subs []*Subscription) {
	for _, m := range messages {
		r.scratch = r.tree.Append(r.scratch[:0], m.Topic)
		for _, t := range r.scratch {
			for _, s := range t.subs.list {
				if s.number > last {
					subs = append(subs, s)
				}
			}
		}
	}
	slices.SortFunc(subs, func(a, b *Subscription) int { return cmp.Compare(a.number, b.number) })
	return slices.Compact(subs)
}

// allLocked returns all Subscriptions, those whose consumers only take what is
// left last.
func (r *router) allLocked() []*Subscription {
	return append(inOrder(r.subs), inOrder(r.emptying)...)
}

func put(list *map[uint64]*Subscription, s *Subscription) {
	if *list == nil {
		*list = make(map[uint64]*Subscription)
	}
	(*list)[s.number] = s
}

// inOrder returns the Subscriptions in the order in which they were made.
func inOrder(list map[uint64]*Subscription) []*Subscription {
	return slices.SortedFunc(maps.Values(list), func(a, b *Subscription) int { return cmp.Compare(a.number, b.number) })
}

func (r *router) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed != nil
}

// shortcut is the Subscription that got the last message that a subscription identifier assigned
// to one Subscription, whatever its topic: the next one usually goes there too.
type shortcut struct {
	id  uint32 // 0: none
	sub *Subscription
}

// findLocked appends the Subscriptions that get p to dst, each once.
func (r *router) findLocked(dst []*Subscription, p *wire.Publish) []*Subscription {
	if q := p.Properties; q != nil && len(q.SubscriptionIDs) == 1 && q.SubscriptionIDs[0] == r.last.id {
		return append(dst, r.last.sub)
	}
	begin := len(dst)
	r.found++
	if r.oursLocked(p) {
		ids := p.Properties.SubscriptionIDs
		if g := r.groups[ids[0]]; !r.inherited && g.single() {
			r.last = shortcut{g.id, g.routes[0].subs.list[0]}
		}
		for _, id := range ids {
			dst = r.findInGroupLocked(dst, r.groups[id], p)
		}
		if len(dst) > begin || !r.inherited {
			return dst
		}
		// An earlier process had given the identifier to another filter.
	}
	r.scratch = r.tree.Append(r.scratch[:0], p.Topic)
	for _, t := range r.scratch {
		dst = r.appendTo(dst, t.subs.list)
	}
	return dst
}

// oursLocked says that subscription identifiers tell which Subscriptions get p: there are some, and
// all are ours.
func (r *router) oursLocked(p *wire.Publish) bool {
	if p.Properties == nil || len(p.Properties.SubscriptionIDs) == 0 {
		return false
	}
	for _, id := range p.Properties.SubscriptionIDs {
		if r.groups[id] == nil {
			return false
		}
	}
	return true
}

// fewRoutes is up to how many filters are tried one by one.
const fewRoutes = 8

func (r *router) findInGroupLocked(dst []*Subscription, g *group, p *wire.Publish) []*Subscription {
	switch n := len(g.routes); {
	case n == 1 && !r.inherited:
		return r.appendTo(dst, g.routes[0].receivers(p))
	case n <= fewRoutes:
		for _, t := range g.routes {
			if t.matches(p.Topic) {
				dst = r.appendTo(dst, t.receivers(p))
			}
		}
		return dst
	}
	r.scratch = r.tree.Append(r.scratch[:0], p.Topic)
	for _, t := range r.scratch {
		if slices.Contains(t.groups, g) {
			dst = r.appendTo(dst, t.receivers(p))
		}
	}
	return dst
}

// routesOfLocked returns the routes of s for which the server may send topic. The result is
// valid until the next search.
func (r *router) routesOfLocked(s *Subscription, topic string) []*route {
	switch {
	case len(s.routes) == 1:
		return s.routes
	case s.index == nil:
		r.scratch = r.scratch[:0]
		for _, t := range s.routes {
			if t.matches(topic) {
				r.scratch = append(r.scratch, t)
			}
		}
		return r.scratch
	}
	r.scratch = slices.DeleteFunc(r.tree.Append(r.scratch[:0], topic), func(t *route) bool {
		_, has := s.index[t.filter]
		return !has
	})
	return r.scratch
}

// filterOf returns the first filter of s that topic matches.
func (r *router) filterOf(s *Subscription, topic string) (filter string, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.hasLocked(s) {
		return "", false
	}
	first := len(s.routes)
	for _, t := range r.routesOfLocked(s, topic) {
		first = min(first, s.index[t.filter])
	}
	if first == len(s.routes) {
		return "", false
	}
	return s.options.Filters[first].Filter, true
}

// appendTo appends those of subs that the search under way has not found yet.
func (r *router) appendTo(dst, subs []*Subscription) []*Subscription {
	for _, s := range subs {
		if s.found != r.found {
			s.found = r.found
			dst = append(dst, s)
		}
	}
	return dst
}
