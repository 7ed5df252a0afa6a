package match

import "strings"

// An edge is what leads from a node of a tree to the next: one level or more, joined
// by /. Nodes are only where ways part or end, so that a long way costs little more
// than its text.

// firstLevel returns the level that levels begins with.
func firstLevel(levels string) string {
	if before, _, ok := strings.Cut(levels, "/"); ok {
		return before
	}
	return levels
}

// commonLevels returns the length of the whole levels that a and b have in common at
// their beginning. They have the first.
func commonLevels(a, b string) (n int) {
	for i := 0; ; i++ {
		endsA, endsB := i == len(a) || a[i] == '/', i == len(b) || b[i] == '/'
		switch {
		case endsA && endsB:
			if n = i; i == len(a) || i == len(b) {
				return n
			}
		case endsA || endsB || a[i] != b[i]:
			return n
		}
	}
}

// hasLevels reports whether levels begins with edge, and ends there or has more.
func hasLevels(levels, edge string) bool {
	return strings.HasPrefix(levels, edge) && (len(levels) == len(edge) || levels[len(edge)] == '/')
}

// after returns what follows the first n bytes of levels, which are whole levels, and
// whether anything does.
func after(levels string, n int) (rest string, more bool) {
	if n == len(levels) {
		return "", false
	}
	return levels[n+1:], true
}

// along follows an edge of a filter with the levels of a topic. It returns those that
// are left, if there are more, and whether the topic has got to the end of the edge.
func along(edge, topic string) (rest string, more, ok bool) {
	if hasLevels(topic, edge) {
		rest, more = after(topic, len(edge))
		return rest, more, true
	}
	if strings.IndexByte(edge, '+') < 0 {
		return "", false, false
	}
	at := 0 // in topic
	for i := 0; i < len(edge); i++ {
		switch {
		case edge[i] == '+' && (i == 0 || edge[i-1] == '/') && (i+1 == len(edge) || edge[i+1] == '/'):
			for at < len(topic) && topic[at] != '/' {
				at++
			}
		case at < len(topic) && topic[at] == edge[i]:
			at++
		default:
			return "", false, false
		}
	}
	if at < len(topic) && topic[at] != '/' {
		return "", false, false
	}
	rest, more = after(topic, at)
	return rest, more, true
}
