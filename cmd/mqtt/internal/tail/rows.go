package tail

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/match"
)

// order is the order of the topics of one level.
type order int

const (
	byName order = iota
	byRate
	byTime
	orders // how many there are
)

// String names the order.
func (o order) String() string { return [...]string{"name", "rate", "latest"}[o] }

// row is a line of the tree as it is drawn. It does not change with the tree.
type row struct {
	topic    string
	name     string
	depth    int
	children int
	open     bool
	retained bool
	rate     float64
	messages uint64
	last     time.Time
	value    string // the beginning of the payload
	size     int
	has      bool // a value
}

const shownValue = 512 // bytes of a payload that can be seen in a line

// filter chooses topics: those that match a filter of MQTT, or that contain a text.
type filter struct {
	text    string
	pattern bool
}

func newFilter(text string) filter {
	pattern := strings.ContainsAny(text, "+#") && match.ValidateFilter(text) == nil
	if !pattern {
		text = strings.ToLower(text)
	}
	return filter{text, pattern}
}

func (f filter) takes(topic string) bool {
	switch {
	case f.text == "":
		return true
	case f.pattern:
		return match.Match(f.text, topic)
	}
	return strings.Contains(strings.ToLower(topic), f.text)
}

// snapshot is what is drawn.
type snapshot struct {
	rows           []row
	topics         int
	messages       uint64
	rate           float64
	leftOut        uint64
	kept           int
	full, evicting bool
}

// snapshot returns the rows that are open. closed has the topics that are not.
func (t *tree) snapshot(f filter, o order, closed map[string]bool) snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := snapshot{
		topics: t.nodes, messages: t.messages, rate: t.root.rate, leftOut: t.leftOut, kept: t.kept.Len(),
		full: t.leftOut > 0, evicting: t.bytes > keptBytes-keptPayload-overheadOfKept,
	}
	var walk func(n *node, depth int) bool
	walk = func(n *node, depth int) (shown bool) {
		for _, child := range ordered(n.children, o) {
			at := len(s.rows)
			open := !closed[child.topic] || f.text != ""
			s.rows = append(s.rows, newRow(child, depth, open))
			below := false
			if open {
				below = walk(child, depth+1)
			}
			if f.text != "" && !below && !(child.own > 0 && f.takes(child.topic)) {
				s.rows = s.rows[:at]
				continue
			}
			shown = true
		}
		return shown
	}
	walk(t.root, 0)
	return s
}

func ordered(children []*node, o order) []*node {
	switch o {
	case byRate:
		return slices.SortedStableFunc(slices.Values(children), func(a, b *node) int { return cmp.Compare(b.rate, a.rate) })
	case byTime:
		return slices.SortedStableFunc(slices.Values(children), func(a, b *node) int { return b.last.Compare(a.last) })
	}
	return children
}

// compareNames puts 9 before 10, alone and within names.
func compareNames(a, b string) int {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		m, n := digits(a[i:]), digits(b[j:])
		if m == 0 || n == 0 {
			if a[i] != b[j] {
				break
			}
			i, j = i+1, j+1
			continue
		}
		x, y := strings.TrimLeft(a[i:i+m], "0"), strings.TrimLeft(b[j:j+n], "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
			return c
		}
		i, j = i+m, j+n
	}
	// The rest decides, and between 1 and 01 the whole.
	return cmp.Or(strings.Compare(a[i:], b[j:]), strings.Compare(a, b))
}

// digits returns how many digits s begins with.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

func newRow(n *node, depth int, open bool) row {
	r := row{
		topic: n.topic, name: n.name, depth: depth, children: len(n.children), open: open,
		rate: n.rate, messages: n.messages, last: n.last,
	}
	if k := n.current(); k != nil {
		r.has, r.size, r.retained = true, k.size, k.message.Retain
		r.value = string(k.message.Payload[:min(len(k.message.Payload), shownValue)])
	}
	return r
}

// details is what is known of one topic.
type details struct {
	topic    string
	own      uint64
	messages uint64
	rate     float64
	history  []*kept // the oldest first; none of them changes
}

func (t *tree) details(topic string) details {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.lookUp(topic)
	if n == nil {
		return details{topic: topic}
	}
	return details{topic, n.own, n.messages, n.rate, slices.Clone(n.history)}
}

// lookUp returns the node of a topic, or nil.
func (t *tree) lookUp(topic string) *node {
	n := t.root
	for _, name := range strings.SplitN(topic, "/", deepest) {
		if n = n.byName[name]; n == nil {
			return nil
		}
	}
	return n
}
