// Package match holds the rules for MQTT Topic Names and Topic Filters: which are
// valid, and which filter matches which name. It also has a tree that finds the
// matching ones of many filters at once.
//
//   - [Match], [ValidateTopic], [ValidateFilter] and [SplitShared] look at one
//     name or filter.
//   - [Pattern] names the levels of a topic that vary: devices/{id}/up. It gives the
//     filter, reads the values from a topic, and makes a topic of values.
//   - [Tree] holds filters and finds those that match a topic: routing.
//
// The functions without Plain in their name follow MQTT 5.0, where
// $share/name/filter is a shared subscription to filter. For MQTT 3.1 and 3.1.1
// such text is an ordinary filter: [ValidatePlainFilter] and [MatchPlain].
//
// The functions are safe for concurrent use, the tree is not.
package match

import "strings"

// sharedLevel is the first level of every shared filter.
const sharedLevel = "$share"

// Match reports whether filter matches topic by the rules of MQTT 5.0. Of a shared
// filter only the part after the share name counts. Both must be valid; the empty
// string matches nothing.
func Match(filter, topic string) bool {
	_, rest, _ := SplitShared(filter)
	return MatchPlain(rest, topic)
}

// MatchPlain is [Match] for MQTT 3.1 and 3.1.1, where $share has no meaning.
//
// Levels are compared byte for byte, without folding case, trimming or
// normalising. [MQTT-4.7.3-4]
func MatchPlain(filter, topic string) bool {
	if filter == "" || topic == "" {
		return false
	}
	// Filters that start with a wildcard do not match topics that start with $, which
	// belong to the server. [MQTT-4.7.2-1]
	if topic[0] == '$' && (filter[0] == '#' || filter[0] == '+') {
		return false
	}
	for {
		want, restFilter, moreFilter := strings.Cut(filter, "/")
		if want == "#" && !moreFilter {
			return true
		}
		level, restTopic, moreTopic := strings.Cut(topic, "/")
		if want != "+" && want != level {
			return false
		}
		if !moreTopic {
			// # stands for the level above it too: a/# matches a.
			return !moreFilter || restFilter == "#"
		}
		if !moreFilter {
			return false
		}
		filter, topic = restFilter, restTopic
	}
}

// HasWildcard reports whether filter has a wildcard, # or +. A filter without one
// matches only the topic that equals it.
func HasWildcard(filter string) bool {
	return strings.IndexByte(filter, '+') >= 0 || strings.IndexByte(filter, '#') >= 0
}

// SplitShared splits $share/share/rest into share and rest, the filter that topics
// are matched against. If filter does not have this form, ok is false, share is empty
// and rest is the whole filter. SplitShared does not validate rest.
func SplitShared(filter string) (share, rest string, ok bool) {
	tail, found := strings.CutPrefix(filter, sharedLevel+"/")
	if !found {
		return "", filter, false
	}
	share, rest, found = strings.Cut(tail, "/")
	if !found || sharedProblem(share, rest) != "" {
		return "", filter, false
	}
	return share, rest, true
}
