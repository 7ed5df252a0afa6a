package mqtt

import (
	"slices"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

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
	if r.oursLocked(p) {
		ids := p.Properties.SubscriptionIDs
		if g := r.groups[ids[0]]; !r.inherited && g.single() {
			r.last = shortcut{g.id, g.routes[0].subs[0]}
		}
		for _, id := range ids {
			dst = r.findInGroupLocked(dst, begin, r.groups[id], p)
		}
		if len(dst) > begin || !r.inherited {
			return dst
		}
		// An earlier process had given the identifier to another filter.
	}
	r.scratch = r.tree.Append(r.scratch[:0], p.Topic)
	for _, t := range r.scratch {
		for _, s := range t.subs {
			dst = appendOnce(dst, begin, s)
		}
	}
	return dst
}

// single says that whatever the server sends for g goes to one Subscription.
func (g *group) single() bool { return len(g.routes) == 1 && len(g.routes[0].subs) == 1 }

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

func (r *router) findInGroupLocked(dst []*Subscription, begin int, g *group, p *wire.Publish) []*Subscription {
	switch n := len(g.routes); {
	case n == 1 && !r.inherited:
		return g.routes[0].appendTo(dst, begin, p)
	case n <= fewRoutes:
		for _, t := range g.routes {
			if t.matches(p.Topic) {
				dst = t.appendTo(dst, begin, p)
			}
		}
		return dst
	}
	r.scratch = r.tree.Append(r.scratch[:0], p.Topic)
	for _, t := range r.scratch {
		if slices.Contains(t.groups, g) {
			dst = t.appendTo(dst, begin, p)
		}
	}
	return dst
}

// appendTo appends those that want what the server sends for t.
func (t *route) appendTo(dst []*Subscription, begin int, p *wire.Publish) []*Subscription {
	subs := t.subs
	if p.Retain && len(t.newcomers) > 0 && !t.keepsRetain() {
		subs = t.newcomers
	}
	for _, s := range subs {
		dst = appendOnce(dst, begin, s)
	}
	return dst
}

// keepsRetain says that the server keeps the retain flag of new messages, because
// somebody asked for it.
func (t *route) keepsRetain() bool {
	return slices.ContainsFunc(t.subs, func(s *Subscription) bool { return s.optionsOf(t.filter).RetainAsPublished })
}

func appendOnce(dst []*Subscription, begin int, s *Subscription) []*Subscription {
	if slices.Contains(dst[begin:], s) {
		return dst
	}
	return append(dst, s)
}

// matches says whether topic may come from the server's subscription to t.
func (t *route) matches(topic string) bool {
	for _, filter := range t.topics {
		if match.MatchPlain(filter, topic) {
			return true
		}
	}
	return false
}
