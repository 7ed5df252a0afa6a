package mqtt

import (
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/match"
)

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
