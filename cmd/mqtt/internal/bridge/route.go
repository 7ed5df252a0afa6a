package bridge

import (
	"fmt"
	"strings"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/match"
)

// Direction says which way messages go.
type Direction string

// The directions.
const (
	Out  Direction = "out"  // from the local server to the remote one
	In   Direction = "in"   // from the remote server to the local one
	Both Direction = "both" // either way
)

// Route says which messages go to the other server, and under which topics: those that
// the filter matches behind the prefix of the server where they come from. The other
// server's prefix takes its place.
type Route struct {
	Filter       string    `toml:"filter"`
	Direction    Direction `toml:"direction"`
	QoS          *mqtt.QoS `toml:"qos"` // the highest; nil: 2
	LocalPrefix  string    `toml:"local_prefix"`
	RemotePrefix string    `toml:"remote_prefix"`
}

func (r *Route) validate() error {
	switch r.Direction {
	case Out, In, Both:
	default:
		return fmt.Errorf("route %.80q: direction %.20q is not out, in or both", r.Filter, r.Direction)
	}
	if r.QoS != nil && *r.QoS > mqtt.ExactlyOnce {
		return fmt.Errorf("route %.80q: QoS %d is not 0, 1 or 2", r.Filter, *r.QoS)
	}
	for _, prefix := range []string{r.LocalPrefix, r.RemotePrefix} {
		if strings.ContainsAny(prefix, "+#") {
			return fmt.Errorf("route %.80q: the prefix %.80q has a wildcard", r.Filter, prefix)
		}
		if err := match.ValidateFilter(prefix + r.Filter); err != nil {
			return fmt.Errorf("route %.80q: %w", r.Filter, err)
		}
		if strings.HasPrefix(prefix+r.Filter, "$share/") {
			return fmt.Errorf("route %.80q: a shared filter gets only a part of the messages", r.Filter)
		}
	}
	return nil
}

// lane is a route in one direction.
type lane struct {
	filter   string // with the prefix of the source
	cut, add string // prefixes
	qos      mqtt.QoS
}

// lanes returns the routes from a side, in their order.
func lanes(routes []Route, from Direction) (all []lane) {
	for _, r := range routes {
		if r.Direction != from && r.Direction != Both {
			continue
		}
		l := lane{cut: r.LocalPrefix, add: r.RemotePrefix, qos: mqtt.ExactlyOnce}
		if from == In {
			l.cut, l.add = l.add, l.cut
		}
		if r.QoS != nil {
			l.qos = *r.QoS
		}
		l.filter = l.cut + r.Filter
		all = append(all, l)
	}
	return all
}

// topic returns the topic of a message at the other server. The first route that matches
// counts. A topic that would not be one is refused.
func topic(lanes []lane, from string) (to string, ok bool) {
	for _, l := range lanes {
		if !match.Match(l.filter, from) {
			continue
		}
		to = l.add + strings.TrimPrefix(from, l.cut)
		return to, match.ValidateTopic(to) == nil
	}
	return "", false
}

// filters returns what to subscribe to. Filters that occur twice have the higher QoS.
// Before 5.0 a filter has no options.
func filters(lanes []lane, options bool) (all []mqtt.Filter) {
	known := map[string]int{}
	for _, l := range lanes {
		if i, ok := known[l.filter]; ok {
			all[i].QoS = max(all[i].QoS, l.qos)
			continue
		}
		known[l.filter] = len(all)
		all = append(all, mqtt.Filter{Filter: l.filter, QoS: l.qos, NoLocal: options, RetainAsPublished: options})
	}
	return all
}
