package broker

import "strings"

// covers reports whether the rule matches every topic that wanted matches, which
// has wildcards only if it is a filter.
func (r *aclRule) covers(wanted []string, isFilter bool, peer *Peer) bool {
	if !sameRealm(r.levels[0], wanted[0]) {
		return false
	}
	for i, level := range r.levels {
		if level == "#" {
			return true
		}
		if i == len(wanted) {
			return false
		}
		want := wanted[i]
		switch {
		case isFilter && want == "#":
			return false
		case level == "+":
		case isFilter && want == "+":
			return false
		case !isLevel(level, want, peer):
			return false
		}
	}
	// A # also matches the level above it.
	return len(wanted) == len(r.levels)
}

// overlaps reports whether the rule matches any topic that wanted matches.
func (r *aclRule) overlaps(wanted []string, isFilter bool, peer *Peer) bool {
	if !mayShareRealm(r.levels[0], wanted[0], isFilter) {
		return false
	}
	for i, level := range r.levels {
		switch {
		case level == "#":
			return true
		case i == len(wanted):
			return false
		case isFilter && wanted[i] == "#":
			return true
		case level == "+", isFilter && wanted[i] == "+":
		case !isLevel(level, wanted[i], peer):
			return false
		}
	}
	rest := wanted[len(r.levels):]
	return len(rest) == 0 || isFilter && rest[0] == "#"
}

// isLevel reports whether a level of a rule that is not a wildcard equals want. The
// values of %c and %u can hold anything, so they are only compared with one whole
// level and never parsed as part of the rule.
func isLevel(level, want string, peer *Peer) bool {
	if peer == nil || !strings.Contains(level, "%") {
		return level == want
	}
	if strings.Contains(level, "%c") && peer.ClientID == "" || strings.Contains(level, "%u") && peer.Username == "" {
		return false
	}
	return strings.NewReplacer("%c", peer.ClientID, "%u", peer.Username).Replace(level) == want
}

// sameRealm keeps rules that start with a wildcard from topics that start with $,
// as in subscriptions. [MQTT-4.7.2-1]
func sameRealm(level, want string) bool {
	return !strings.HasPrefix(want, "$") || level != "#" && level != "+"
}

// mayShareRealm is sameRealm for a topic that may also be a filter.
func mayShareRealm(level, want string, isFilter bool) bool {
	if isFilter && (want == "#" || want == "+") {
		return !strings.HasPrefix(level, "$")
	}
	return sameRealm(level, want)
}
