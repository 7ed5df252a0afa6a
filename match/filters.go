package match

import "strings"

// Covers reports whether filter matches every topic that other matches, by the rules of
// [MatchPlain]. Both must be valid filters. A filter covers itself.
func Covers(filter, other string) bool {
	if !sameRealm(filter, other) {
		return false
	}
	filter, other = explicit(filter), explicit(other)
	for {
		level, rest, more := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		want, restOther, moreOther := strings.Cut(other, "/")
		if want == "#" || level != "+" && level != want {
			return false
		}
		if !moreOther {
			return !more || rest == "#"
		}
		if !more {
			return false
		}
		filter, other = rest, restOther
	}
}

// Overlap reports whether some topic matches both filters, by the rules of
// [MatchPlain]. Both must be valid filters.
func Overlap(a, b string) bool {
	if !sameRealm(a, b) || !sameRealm(b, a) {
		return false
	}
	a, b = explicit(a), explicit(b)
	for {
		levelA, restA, moreA := strings.Cut(a, "/")
		levelB, restB, moreB := strings.Cut(b, "/")
		switch {
		case levelA == "#" || levelB == "#":
			return true
		case levelA != levelB && levelA != "+" && levelB != "+":
			return false
		case !moreA && !moreB:
			return true
		case !moreA:
			return restB == "#"
		case !moreB:
			return restA == "#"
		}
		a, b = restA, restB
	}
}

// sameRealm keeps filters that begin with a wildcard from those that begin with $.
// [MQTT-4.7.2-1]
func sameRealm(filter, other string) bool {
	return filter != "" && other != "" && (other[0] != '$' || filter[0] != '#' && filter[0] != '+')
}

// explicit returns the filter that matches the same topics as filter and says that they
// have a level: the level above # is never all there is, because no topic is empty.
func explicit(filter string) string {
	switch filter {
	case "#":
		return "+/#"
	case "/#":
		return "/+/#"
	}
	return filter
}
