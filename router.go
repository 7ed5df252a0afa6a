package mqtt

import (
	"math"
	"slices"
	"sync"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// router finds the Subscriptions of a message.
//
// Each SUBSCRIBE carries a subscription identifier of its own where the server
// has them, so that a message says to whom it belongs even where filters
// overlap. Without identifiers the tree of filters decides. Several
// Subscriptions may have the same filter: the server knows it once, and sends
// UNSUBSCRIBE only after the last of them.
type router struct {
	mu     sync.Mutex
	routes map[string]*route // by filter as subscribed
	tree   match.Tree[*route]
	groups map[uint32]*group // by subscription identifier
	lastID uint32
	added  uint64 // Subscriptions so far
	subs   []*Subscription
	drains []*Subscription // that end when their consumers are done
	closed error

	unclaimed unclaimed
	scratch   []*route
	last      shortcut
}

// route is one filter and who wants it.
type route struct {
	filter string // as subscribed, with $share
	topics string // what topics are matched against
	subs   []*Subscription
	groups []*group // whose SUBSCRIBE named the filter
}

// group is what one SUBSCRIBE asked for.
type group struct {
	id     uint32
	sub    *Subscription
	routes []*route
	index  map[string]int // of routes by filter; nil: they are few
}

// maxSubscriptionID is the largest a server accepts.
const maxSubscriptionID = wire.MaxRemainingLength

func (r *router) init(hold int) {
	r.routes = make(map[string]*route)
	r.groups = make(map[uint32]*group)
	r.unclaimed.max = hold
}

// add registers s, so that messages reach it from now on, with its first call,
// which is nil for a local Subscription.
func (r *router) add(s *Subscription, call *subscribeCall) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed != nil {
		return r.closed
	}
	r.last = shortcut{}
	s.pending = call
	s.group = group{id: r.newID(), sub: s}
	r.groups[s.group.id] = &s.group
	r.subs = append(r.subs, s)
	r.added++
	s.number, s.left = r.added, math.MaxUint64
	if len(s.options.Filters) > fewRoutes {
		s.group.index = make(map[string]int, len(s.options.Filters))
	}
	for i, f := range s.options.Filters {
		t := r.routes[f.Filter]
		if t == nil {
			t = &route{filter: f.Filter, topics: f.Filter}
			if _, rest, shared := match.SplitShared(f.Filter); shared {
				t.topics = rest
			}
			r.routes[f.Filter] = t
			r.tree.Insert(t.topics, t)
		}
		t.subs = append(t.subs, s)
		t.groups = append(t.groups, &s.group)
		s.group.routes = append(s.group.routes, t)
		if s.group.index != nil {
			s.group.index[f.Filter] = i
		}
	}
	claimed := r.unclaimed.claim(s.group.routes, 0)
	s.claimed = len(claimed)
	for _, m := range claimed {
		s.queue.push([]item{{m, nil}}, false)
	}
	return nil
}

func (r *router) newID() uint32 {
	for {
		r.lastID = r.lastID%maxSubscriptionID + 1
		if r.groups[r.lastID] == nil {
			return r.lastID
		}
	}
}

// remove takes s out and returns the filters that nobody wants any more.
// Removing it again does nothing.
func (r *router) remove(s *Subscription) (unused []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.takeOut(s) {
		return nil
	}
	return r.detach(s, false)
}

// takeOut takes s off the list, if it is there.
func (r *router) takeOut(s *Subscription) bool {
	i := slices.Index(r.subs, s)
	if i < 0 {
		return false
	}
	r.subs = slices.Delete(r.subs, i, i+1)
	s.left = r.added
	return true
}

// detach takes s off its filters, and returns those that nobody wants any more.
// With expected what still comes on them waits for the next who wants it.
func (r *router) detach(s *Subscription, expected bool) (unused []string) {
	r.last = shortcut{}
	for _, t := range s.group.routes {
		t.subs = slices.DeleteFunc(t.subs, func(o *Subscription) bool { return o == s })
		if !s.local && !s.draining && !t.wanted() {
			unused = append(unused, t.filter)
		}
		if len(t.subs) > 0 {
			continue
		}
		delete(r.routes, t.filter)
		r.tree.Delete(t.topics, t)
		if !expected {
			r.unclaimed.disown(t.topics)
		}
	}
	// The server may still use an identifier for a filter that others want.
	for _, t := range s.group.routes {
		for _, g := range t.groups {
			r.forgetUnused(g)
		}
	}
	return unused
}

// abandon takes out the Subscription of a handler that has ended, and keeps
// what it has not finished: what it took and what still waits. With resume the
// server keeps the subscriptions; otherwise it returns those to end.
func (r *router) abandon(s *Subscription, unfinished []item, resume bool) (unused []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unclaimed.keep(unfinished)
	r.unclaimed.keep(s.queue.close(ErrUnsubscribed))
	if !r.takeOut(s) {
		return nil
	}
	if resume {
		r.unclaimed.holding = true
		r.detach(s, true)
		return nil
	}
	return r.detach(s, false)
}

// giveBack keeps messages that a Subscription has given up. If the next who wants
// them, one with a higher number than last, is there already, they go to him: he
// will not ask again. (Others got the messages themselves.)
func (r *router) giveBack(last uint64, items []item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.unclaimed.held)
	r.unclaimed.keep(items)
	for _, next := range r.subs {
		if next.number <= last {
			continue
		}
		for _, m := range r.unclaimed.claim(next.group.routes, before) {
			if _, result, _, _ := next.queue.push([]item{{m, nil}}, false); result == pushClosed {
				r.unclaimed.held = append(r.unclaimed.held, m)
			}
		}
	}
}

// giveBackLate is giveBack for what came for s when it had just ended.
func (r *router) giveBackLate(s *Subscription, items []item) {
	r.mu.Lock()
	left := s.left
	r.mu.Unlock()
	r.giveBack(left, items)
}

// forgetUnused forgets the identifier of g if the server uses it for no filter
// that anybody has.
func (r *router) forgetUnused(g *group) {
	used := func(t *route) bool { return len(t.subs) > 0 && slices.Contains(t.groups, g) }
	if r.groups[g.id] == g && !slices.ContainsFunc(g.routes, used) {
		delete(r.groups, g.id)
		r.last = shortcut{}
	}
}

// replaced notes that the server now uses the identifier of g, and no earlier
// one, for the filter of t.
func (r *router) replaced(t *route, g *group) {
	before := t.groups
	t.groups = []*group{g}
	for _, old := range before {
		r.forgetUnused(old)
	}
}

// wanted says whether a Subscription needs the filter that is not about to end.
func (t *route) wanted() bool {
	return slices.ContainsFunc(t.subs, func(s *Subscription) bool { return !s.draining })
}

// drain notes that s is about to end and returns the filters that nobody else
// wants. Messages still reach s until it is removed. first is false when s is
// ending already.
func (r *router) drain(s *Subscription) (unused []string, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.draining || !slices.Contains(r.subs, s) {
		return nil, false
	}
	s.draining = true
	r.drains = append(r.drains, s)
	for _, t := range s.group.routes {
		if !s.local && !t.wanted() {
			unused = append(unused, t.filter)
		}
	}
	return unused, true
}

// drained notes that nobody waits for the messages of s any more.
func (r *router) drained(s *Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drains = slices.DeleteFunc(r.drains, func(o *Subscription) bool { return o == s })
}

// unrouted returns those of filters that no Subscription wants.
func (r *router) unrouted(filters []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(filters), func(f string) bool {
		t := r.routes[f]
		return t != nil && t.wanted()
	})
}

// due returns the calls that a new connection has to send: those not answered,
// and, if the server has lost the session, renewals for all others.
func (r *router) due(all bool) []*subscribeCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	var calls []*subscribeCall
	for _, s := range r.subs {
		if s.draining {
			continue
		}
		if s.pending == nil && all && !s.local {
			s.pending = &subscribeCall{sub: s, done: make(chan struct{})}
		}
		if s.pending != nil {
			calls = append(calls, s.pending)
		}
	}
	return calls
}

// granted notes the answer to call.
func (r *router) granted(s *Subscription, call *subscribeCall, acks []Ack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if acks != nil {
		s.granted = acks
	}
	for i, ack := range acks {
		if !ack.ReasonCode.Failed() {
			r.replaced(s.group.routes[i], &s.group)
		}
	}
	if s.pending == call {
		s.pending = nil
	}
}

// subscribePacket builds the SUBSCRIBE of s. The server keeps one set of
// options per filter, the last one sent, so it has to satisfy all who share it.
func (r *router) subscribePacket(s *Subscription, engine *session.Client) *wire.Subscribe {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &wire.Subscribe{UserProperties: s.options.UserProperties}
	limits := engine.Limits()
	if r.groups[s.group.id] != &s.group { // a later one had taken its place
		r.last = shortcut{}
		s.group.id = r.newID()
		r.groups[s.group.id] = &s.group
	}
	if !limits.NoSubscriptionIDs {
		p.SubscriptionID = s.group.id
	}
	for i, f := range s.options.Filters {
		for _, other := range s.group.routes[i].subs {
			o := other.optionsOf(f.Filter)
			f.QoS = max(f.QoS, o.QoS)
			f.NoLocal = f.NoLocal && o.NoLocal
			f.RetainAsPublished = f.RetainAsPublished || o.RetainAsPublished
		}
		if t := s.group.routes[i]; !slices.Contains(t.groups, &s.group) {
			t.groups = append(t.groups, &s.group)
		}
		p.Filters = append(p.Filters, f)
	}
	return p
}

func (s *Subscription) optionsOf(filter string) Filter {
	if s.group.index != nil {
		return s.options.Filters[s.group.index[filter]]
	}
	i := slices.IndexFunc(s.options.Filters, func(f Filter) bool { return f.Filter == filter })
	return s.options.Filters[i]
}

// close ends all Subscriptions with err.
func (r *router) close(err error) {
	r.mu.Lock()
	r.closed = err
	subs := slices.Concat(r.subs, r.drains)
	r.subs, r.drains = nil, nil
	r.unclaimed.held = nil
	r.mu.Unlock()
	for _, s := range subs {
		r.mu.Lock()
		call := s.pending
		r.mu.Unlock()
		release(s.queue.close(err))
		if call != nil {
			call.conclude(err)
		}
	}
}

func (r *router) resumed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unclaimed.holding = true
}

// disclaim returns the held messages that match filters: nobody will claim them.
func (r *router) disclaim(filters []string) (dropped []*Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range filters {
		if _, rest, shared := match.SplitShared(f); shared {
			f = rest
		}
		dropped = append(dropped, r.unclaimed.claim([]*route{{topics: f}}, 0)...)
		r.unclaimed.disown(f) // after the claim, which would undo it
	}
	return dropped
}
