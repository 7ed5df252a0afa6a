package mqtt

import (
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// withdrawLocked ends the shared filters that the session is not to keep. The result is
// nil if there is nothing to wait for. Called with engine.mu held.
func (b *inbox) withdrawLocked() *session.Leave {
	return b.engine.Subscriptions.Withdraw(b.router.departing())
}

// leaveResponseTopicsLocked ends subscriptions that a later process has no use for, when the
// session stays. Called with engine.mu held, before DISCONNECT.
func (b *inbox) leaveResponseTopicsLocked() {
	for _, filter := range b.router.responseTopics() {
		// Where it finds no space the session keeps the subscription, and the
		// responses that come for nobody are dropped.
		_ = b.engine.Request(&session.Request{Unsubscribe: &wire.Unsubscribe{Filters: []string{filter}}, Owner: nobody{}})
	}
}

// nobody waits for an answer.
type nobody struct{}

func (nobody) answer(*session.Request) {}

// responseTopics returns the filters of Subscriptions that mean nothing to a later
// process, and that the server has granted.
func (r *router) responseTopics() (filters []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range inOrder(r.subs) {
		if s.kind == kindResponses && s.granted != nil {
			filters = append(filters, s.name())
		}
	}
	return filters
}

// departing returns the shared filters that no Subscription keeps in the session.
func (r *router) departing() (filters []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ours := func(s *Subscription) bool { return s.kind != kindLocal && s.state != draining }
	keep := func(s *Subscription) bool { return s.options.KeepShared }
	for _, t := range r.routes {
		if t.shared() && slices.ContainsFunc(t.subs, ours) && !slices.ContainsFunc(t.subs, keep) {
			filters = append(filters, t.filter)
		}
	}
	slices.Sort(filters)
	return filters
}

// shared says that the server gives each message on the filter to one of several
// clients. $queue is EMQX's, $oshare BifroMQ's.
func (t *route) shared() bool {
	_, _, shared := match.SplitShared(t.filter)
	return shared || strings.HasPrefix(t.filter, "$queue/") || strings.HasPrefix(t.filter, "$oshare/")
}

// outlived says that messages for s which come when it has ended belong to the
// next that wants them: no other gets them.
func (b *inbox) outlived(s *Subscription) bool {
	if s.kind == kindHandled {
		return true
	}
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	return s.state.hasDrained() && slices.ContainsFunc(s.routes, (*route).shared)
}
