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
		_ = b.engine.Request(&session.Request{Unsubscribe: &wire.Unsubscribe{Filters: []string{filter}}, Owner: noOwner{}})
	}
}

// noOwner owns a request whose answer is ignored.
type noOwner struct{}

func (noOwner) answer(*session.Request) {}

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
		if t.shared() && slices.ContainsFunc(t.subs.list, ours) && !slices.ContainsFunc(t.subs.list, keep) {
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

// Several servers read a prefix of a filter as a way of subscribing and send
// what they deliver with its own topic, as with $share. Where subscription
// identifiers say whose a message is, nobody has to know. Elsewhere the filter of
// a Subscription has to be understood as the server does.

// defaultFilterPrefixes are those in use: of EMQX $queue and $exclusive, of BifroMQ
// $oshare with a group.
var defaultFilterPrefixes = []string{"$queue/", "$exclusive/", "$oshare/+/"}

// filterPrefixes are the prefixes in force.
type filterPrefixes []string

// topics returns the filters that topics are matched against, at least one, for a
// filter as it was subscribed. One with a prefix stands for itself too: a server that
// does not know the prefix has such topics.
func (p filterPrefixes) topics(filter string) []string {
	if _, rest, shared := match.SplitShared(filter); shared {
		return []string{rest}
	}
	found := []string{filter}
	if filter == "" || filter[0] != '$' {
		return found
	}
	for _, prefix := range p {
		if rest, ok := cutPrefix(filter, prefix); ok && !slices.Contains(found, rest) {
			found = append(found, rest)
		}
	}
	return found
}

// cutPrefix takes prefix off filter, in which + stands for any level without a
// wildcard.
func cutPrefix(filter, prefix string) (rest string, ok bool) {
	rest = filter
	for level := range strings.SplitSeq(strings.TrimSuffix(prefix, "/"), "/") {
		have, tail, more := strings.Cut(rest, "/")
		if !more || level != have && (level != "+" || have == "" || match.HasWildcard(have)) {
			return "", false
		}
		rest = tail
	}
	return rest, rest != ""
}

// validateFilterPrefixes refuses what is no prefix, or would take away topics that
// are not the server's own.
func validateFilterPrefixes(prefixes []string) error {
	for i, prefix := range prefixes {
		whole := prefix + "x"
		switch {
		case !strings.HasPrefix(prefix, "$") || !strings.HasSuffix(prefix, "/"):
			return invalid("Config.FilterPrefixes", "%d: %.60q does not begin with $ and end with a slash", i, prefix)
		case match.ValidatePlainFilter(whole) != nil || strings.Contains(prefix, "#"):
			return invalid("Config.FilterPrefixes", "%d: %.60q is not the beginning of a filter", i, prefix)
		}
	}
	return nil
}
