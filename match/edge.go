package match

import "strings"

// An edge leads from a node of a tree to the next. It is one level or more, joined by
// /. There are nodes only where edges branch or a filter ends, so a filter with many
// levels costs little more than its text.

// firstLevel returns the first of levels.
func firstLevel(levels string) string {
	if before, _, ok := strings.Cut(levels, "/"); ok {
		return before
	}
	return levels
}

// commonLevels returns the length of the whole levels with which both a and b begin.
// Their first level is the same.
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

// hasLevels reports whether levels begins with the whole levels of edge.
func hasLevels(levels, edge string) bool {
	return strings.HasPrefix(levels, edge) && (len(levels) == len(edge) || levels[len(edge)] == '/')
}

// after returns what follows the first n bytes of levels, which are whole levels, and
// whether another level follows.
func after(levels string, n int) (rest string, more bool) {
	if n == len(levels) {
		return "", false
	}
	return levels[n+1:], true
}

// along follows an edge of a filter with the levels of a topic. ok says that the
// topic matches the whole edge. rest are the levels that are left, and more says
// whether there are any.
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
