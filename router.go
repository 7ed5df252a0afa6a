package mqtt

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// router finds the Subscriptions of a message.
//
// Each filter is subscribed with a subscription identifier where the server has
// them, so that a message says to whom it belongs even where filters overlap. The
// filters that a Subscription is the first to want share one. Without identifiers
// the tree of filters decides. Several Subscriptions may have the same filter: it
// keeps its identifier as long as anybody wants it. What the server has is the
// business of session.Subscriptions.
type router struct {
	mu     sync.Mutex
	routes map[string]*route // by filter as subscribed
	tree   match.Tree[*route]
	groups map[uint32]*group // by subscription identifier
	lastID uint32            // begins anywhere: a session of before may use others
	added  uint64            // Subscriptions so far
	mixed  int               // filters whose Subscriptions have different options
	// inherited says that the server may have identifiers of an earlier process.
	inherited bool
	subs      map[uint64]*Subscription // by Subscription.number
	drains    map[uint64]*Subscription // that end when their consumers are done
	closed    error

	prefixes  filterPrefixes
	unclaimed unclaimed
	scratch   []*route
	last      shortcut
}

// route is one filter and who wants it.
type route struct {
	filter string   // as subscribed, with $share
	topics []string // what topics are matched against; the first is the usual one
	subs   []*Subscription
	groups []*group // with whose identifier it is subscribed; one, or none if only Route has it
	mixed  bool     // not all of those who have wanted it have the same options
	// newcomers are those of subs for whose SUBSCRIBE retained messages may still come,
	// which the others have had. Empty: all may get them.
	newcomers []*Subscription
}

// group is the filters that are subscribed with one identifier.
type group struct {
	id     uint32
	routes []*route
}

// maxSubscriptionID is the largest a server accepts.
const maxSubscriptionID = wire.MaxRemainingLength

func (r *router) init(hold int, resume bool) {
	r.unclaimed.period = -1
	r.routes = make(map[string]*route)
	r.groups = make(map[uint32]*group)
	r.unclaimed.max = hold
	if resume { // the session may have the identifiers of an earlier process
		r.lastID = rand.Uint32N(maxSubscriptionID)
	}
}

// add registers s, so that messages reach it from now on.
func (r *router) add(s *Subscription) error {
	fetch := false
	defer func() {
		if fetch {
			s.client.renew()
		}
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed != nil {
		return r.closed
	}
	if err := r.conflict(s); err != nil {
		return err
	}
	r.last = shortcut{}
	r.added++
	s.number, s.left = r.added, math.MaxUint64
	put(&r.subs, s)
	if len(s.options.Filters) > fewRoutes {
		s.index = make(map[string]int, len(s.options.Filters))
	}
	g := new(group)
	for i, f := range s.options.Filters {
		t := r.routeOf(f.Filter)
		t.join(s)
		s.routes = append(s.routes, t)
		if s.index != nil {
			s.index[f.Filter] = i
		}
		if len(t.groups) == 0 && !s.local {
			t.groups = append(t.groups, g)
			g.routes = append(g.routes, t)
		}
	}
	for _, t := range s.routes {
		r.mix(t, s)
	}
	if len(g.routes) > 0 {
		g.id = r.newID()
		r.groups[g.id] = g
	}
	if !s.local {
		s.interest = newInterest(s)
	}
	claimed := r.unclaimed.claim(s.routes, 0)
	s.claimed = len(claimed)
	for _, m := range claimed {
		m.receipt.move(&s.shelf)
		s.queue.accept(m)
	}
	fetch = r.unclaimed.fetch()
	return nil
}

// conflict says why s cannot share a filter with a Subscription that has it: what
// the server must not send to one it must send to the other, and it keeps one set of
// options for both.
func (r *router) conflict(s *Subscription) error {
	for _, f := range s.options.Filters {
		t := r.routes[f.Filter]
		if t == nil || s.local {
			continue
		}
		for _, other := range t.subs {
			if !other.local && other.optionsOf(f.Filter).NoLocal != f.NoLocal {
				return invalid("filter", "%.80q has a Subscription with NoLocal %t; a server keeps one set of options for each filter", f.Filter, !f.NoLocal)
			}
		}
	}
	return nil
}

// routeOf returns the route of a filter, made if need be.
func (r *router) routeOf(filter string) *route {
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

func (t *route) join(s *Subscription) {
	if len(t.subs) > 0 && !s.local {
		// What is retained came before the answer, for those that have theirs.
		t.newcomers = slices.DeleteFunc(t.newcomers, func(o *Subscription) bool { return o.granted != nil })
		t.newcomers = append(t.newcomers, s)
	}
	t.subs = append(t.subs, s)
}

func (t *route) leave(s *Subscription) {
	is := func(o *Subscription) bool { return o == s }
	t.subs = slices.DeleteFunc(t.subs, is)
	t.newcomers = slices.DeleteFunc(t.newcomers, is)
}

// renewed notes that all filters are subscribed again: what is retained is for all.
func (r *router) renewed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.routes {
		t.newcomers = nil
	}
}

// mix notes whether s asks for the filter with other options than others. It stays so:
// before 5.0 the server keeps the wider ones.
func (r *router) mix(t *route, s *Subscription) {
	for _, o := range t.subs {
		a, b := o.optionsOf(t.filter), s.optionsOf(t.filter)
		if !t.mixed && !o.local && !s.local && (a.QoS != b.QoS || a.RetainAsPublished != b.RetainAsPublished) {
			t.mixed = true
			r.mixed++
		}
	}
}

// newInterest says to the engine what s wants. Called with r.mu held.
func newInterest(s *Subscription) *session.Interest {
	in := &session.Interest{Filters: s.options.Filters, UserProperties: s.options.UserProperties, Owner: s}
	for _, t := range s.routes {
		in.SubscriptionIDs = append(in.SubscriptionIDs, t.groups[0].id)
	}
	return in
}

func (r *router) newID() uint32 {
	for {
		r.lastID = r.lastID%maxSubscriptionID + 1
		if r.groups[r.lastID] == nil {
			return r.lastID
		}
	}
}

// remove takes s out. Removing it again does nothing.
func (r *router) remove(s *Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.takeOut(s) {
		r.detach(s, false)
	}
}

// takeOut takes s off the list, if it is there.
func (r *router) takeOut(s *Subscription) bool {
	if r.subs[s.number] == nil {
		return false
	}
	delete(r.subs, s.number)
	s.left = r.added
	return true
}

// detach takes s off its filters. With expected what still comes on them waits for
// the next who wants it.
func (r *router) detach(s *Subscription, expected bool) {
	r.last = shortcut{}
	for _, t := range s.routes {
		t.leave(s)
		if len(t.subs) > 0 {
			continue
		}
		delete(r.routes, t.filter)
		if t.mixed {
			r.mixed--
		}
		r.ungroup(t)
		for _, topics := range t.topics {
			r.tree.Delete(topics, t)
			switch {
			case expected || t.shared() && (s.handled || s.draining):
				r.unclaimed.expect(topics)
			default:
				r.unclaimed.disown(topics)
			}
		}
	}
}

// ungroup forgets the identifier of a filter that nobody wants any more.
func (r *router) ungroup(t *route) {
	for _, g := range t.groups {
		g.routes = slices.DeleteFunc(g.routes, func(o *route) bool { return o == t })
		if len(g.routes) == 0 {
			delete(r.groups, g.id)
		}
	}
	t.groups = nil
}

// abandon takes out the Subscription of a handler that has ended, and keeps what
// still waits, with unfinished before it. With resume the server keeps the
// subscriptions.
func (r *router) abandon(s *Subscription, unfinished []item, resume bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unclaimed.keep(unfinished)
	r.unclaimed.keep(s.queue.close(ErrUnsubscribed))
	if !r.takeOut(s) {
		return
	}
	r.unclaimed.holding = r.unclaimed.holding || resume
	r.detach(s, resume)
}

// giveBack keeps messages that a Subscription has given up. If the next who wants
// them, one with a higher number than last, is there already, they go to him: he
// will not ask again. (Others got the messages themselves.)
func (r *router) giveBack(last uint64, items []item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.unclaimed.held)
	r.unclaimed.keep(items)
	for _, next := range r.heirs(last, r.unclaimed.held[before:]) {
		for _, m := range r.unclaimed.claim(next.routes, before) {
			if next.queue.accept(m) {
				m.receipt.move(&next.shelf)
			} else {
				r.unclaimed.hold(m, true)
			}
		}
	}
}

// heirs returns the Subscriptions with higher numbers than last that want some of held, in
// their order. Called with r.mu held.
func (r *router) heirs(last uint64, held []waiting) (subs []*Subscription) {
	for _, w := range held {
		r.scratch = r.tree.Append(r.scratch[:0], w.Topic)
		for _, t := range r.scratch {
			for _, s := range t.subs {
				if s.number > last {
					subs = append(subs, s)
				}
			}
		}
	}
	slices.SortFunc(subs, func(a, b *Subscription) int { return cmp.Compare(a.number, b.number) })
	return slices.Compact(subs)
}

// giveBackLate is giveBack for what came for s when it had just ended.
func (r *router) giveBackLate(s *Subscription, items []item) {
	r.mu.Lock()
	left := s.left
	r.mu.Unlock()
	r.giveBack(left, items)
}

// drain notes that s is about to end; messages still reach it until it is removed.
// It returns false when s is ending already.
func (r *router) drain(s *Subscription) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.draining || r.subs[s.number] == nil {
		return false
	}
	s.draining = true
	put(&r.drains, s)
	return true
}

// drained notes that nobody waits for the messages of s any more.
func (r *router) drained(s *Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.drains, s.number)
}

// granted notes what the server said of the filters of s.
func (r *router) granted(s *Subscription, acks []Ack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.granted = acks
}

func (s *Subscription) optionsOf(filter string) Filter {
	if s.index != nil {
		return s.options.Filters[s.index[filter]]
	}
	i := slices.IndexFunc(s.options.Filters, func(f Filter) bool { return f.Filter == filter })
	return s.options.Filters[i]
}

// close ends all Subscriptions with err.
func (r *router) close(err error) {
	r.mu.Lock()
	r.closed = err
	subs := r.everybody()
	r.subs, r.drains = nil, nil
	r.unclaimed.stop()
	r.unclaimed.held = nil
	r.mu.Unlock()
	for _, s := range subs {
		release(s.queue.close(err))
		s.first.conclude(err, false)
	}
}

// everybody returns all Subscriptions, those that are about to end last. Called with r.mu held.
func (r *router) everybody() []*Subscription {
	return append(inOrder(r.subs), inOrder(r.drains)...)
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

// cut ends the queues of all Subscriptions with err, before the end of the client.
// What nobody has taken stays with the server, as does what still comes.
func (r *router) cut(err error) {
	r.mu.Lock()
	if r.closed == nil {
		r.closed = err
	}
	subs := r.everybody()
	r.unclaimed.stop()
	r.mu.Unlock()
	for _, s := range subs {
		release(s.queue.close(err))
	}
}

// reconnected forgets what was left with the server: a new connection brings it.
func (r *router) reconnected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.everybody() {
		s.queue.reconnected()
	}
	r.unclaimed.reconnected()
}

// disclaim returns the held messages that match filters: nobody will claim them.
func (r *router) disclaim(filters []string) (dropped []*Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range filters {
		topics := r.prefixes.topics(f)
		dropped = append(dropped, r.unclaimed.claim([]*route{{topics: topics}}, 0)...)
		for _, t := range topics {
			r.unclaimed.disown(t) // after the claim, which would undo it
		}
	}
	return dropped
}
