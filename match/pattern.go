package match

import (
	"strings"
	"unicode"
)

// Pattern describes topics and names the levels in them that vary.
//
//	devices/{id}/up      {id} is one level, of any text
//	files/{path...}      {path...} is all that follows; it stands at the end
//	sites/+/{unit}/#     + and # are the same without names
//
// A Pattern has a Topic Filter, which has the wildcard + for {id} and # for {path...}.
// It matches a topic if and only if its filter does. So {path...} also matches
// where nothing follows, and a parameter in the first level matches no topic that
// begins with $.
//
// A parameter fills its level. Its name consists of letters, digits, _ and -, and
// stands in a pattern once. Elsewhere {{ is a literal { and }} a literal }. Each level
// may be empty, as in topics.
//
// A pattern is about topics. What a server is told in front of a filter, $share/name/
// for example, is not part of it.
//
// Make a Pattern with [ParsePattern]. A Pattern does not change, and its methods are
// safe for concurrent use. The zero Pattern matches nothing.
type Pattern struct {
	text, filter string
	parameters   []parameter // of each wildcard in filter, in this order
}

// parameter is one wildcard of a filter.
type parameter struct {
	name  string // "": it has none
	level int    // of the filter; the first is 0
	rest  bool   // it stands for # and not for +
}

// ParsePattern parses the text of a Pattern. The error is an [*Error].
func ParsePattern(text string) (*Pattern, error) {
	p := &Pattern{text: text}
	var filter strings.Builder
	fail := func(problem string) (*Pattern, error) {
		return nil, &Error{Kind: kindPattern, Input: text, Problem: problem}
	}
	rest, more := text, true
	for level := 0; more; level++ {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if level > 0 {
			filter.WriteByte('/')
		}
		name, wildcard, problem := parseLevel(part)
		switch {
		case problem != "":
			return fail(problem)
		case wildcard == "#" && more:
			return fail("has " + part + " before the last level")
		case wildcard == "":
			filter.WriteString(name)
			continue
		case name != "" && p.index(name) >= 0:
			return fail("has two parameters {" + name + "}")
		}
		filter.WriteString(wildcard)
		p.parameters = append(p.parameters, parameter{name, level, wildcard == "#"})
	}
	p.filter = filter.String()
	if first, _, _ := strings.Cut(p.filter, "/"); first == sharedLevel {
		return fail("begins with $share, which is for filters and not for topics")
	}
	if err := ValidatePlainFilter(p.filter); err != nil {
		return fail(err.(*Error).Problem)
	}
	return p, nil
}

// MustParsePattern is [ParsePattern] for patterns that stand in the program. It panics
// where ParsePattern returns an error.
func MustParsePattern(text string) *Pattern {
	p, err := ParsePattern(text)
	if err != nil {
		panic(err)
	}
	return p
}

// parseLevel returns the wildcard that a level of a pattern stands for, and its name.
// If there is no wildcard, name is the literal text of the level.
func parseLevel(level string) (name, wildcard, problem string) {
	if level == "+" || level == "#" {
		return "", level, ""
	}
	inner, opened := strings.CutPrefix(level, "{")
	if !opened || strings.HasPrefix(inner, "{") {
		literal, problem := unescape(level)
		return literal, "", problem
	}
	name, closed := strings.CutSuffix(inner, "}")
	if !closed || strings.ContainsAny(name, "{}") {
		return "", "", braceProblem
	}
	wildcard = "+"
	if shorter, dots := strings.CutSuffix(name, "..."); dots {
		name, wildcard = shorter, "#"
	}
	switch {
	case name == "":
		return "", "", "has a parameter without a name; " + wildcard + " needs none"
	case strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}):
		return "", "", "has a parameter whose name has other characters than letters, digits, _ and -"
	}
	return name, wildcard, ""
}

const braceProblem = "has a { or } that does not enclose a whole level; {{ and }} stand for the characters"

// unescape returns the literal text of a level.
func unescape(level string) (literal, problem string) {
	if strings.IndexByte(level, '{') < 0 && strings.IndexByte(level, '}') < 0 {
		return level, ""
	}
	var b strings.Builder
	for i := 0; i < len(level); i++ {
		c := level[i]
		if c == '{' || c == '}' {
			if i++; i == len(level) || level[i] != c {
				return "", braceProblem
			}
		}
		b.WriteByte(c)
	}
	return b.String(), ""
}

// index returns which parameter has that name, or -1.
func (p *Pattern) index(name string) int {
	for i := range p.parameters {
		if p.parameters[i].name == name {
			return i
		}
	}
	return -1
}

// String returns the text that was parsed.
func (p *Pattern) String() string { return p.text }

// Filter returns the Topic Filter to subscribe to.
func (p *Pattern) Filter() string { return p.filter }

// Names returns the names of the parameters from left to right.
func (p *Pattern) Names() []string {
	names := make([]string, 0, len(p.parameters))
	for _, q := range p.parameters {
		if q.name != "" {
			names = append(names, q.name)
		}
	}
	return names
}

// Match reports whether p matches topic, and returns the values of its parameters there.
// It allocates nothing.
func (p *Pattern) Match(topic string) (Values, bool) {
	if !MatchPlain(p.filter, topic) {
		return Values{}, false
	}
	return Values{p, topic}, true
}

// Values are the values of a pattern's parameters in a topic. The zero Values have
// none.
type Values struct {
	pattern *Pattern // nil: none
	topic   string
}

// Pattern returns the pattern that matched, or nil.
func (v Values) Pattern() *Pattern { return v.pattern }

// Get returns the value of the parameter name: the text of its level, which may be
// empty, or of {name...} all that follows. It returns "" if the pattern has no such
// parameter.
func (v Values) Get(name string) string {
	if v.pattern == nil || name == "" {
		return ""
	}
	i := v.pattern.index(name)
	if i < 0 {
		return ""
	}
	value, _ := v.at(v.pattern.parameters[i])
	return value
}

// List returns the values of all parameters that have names, from left to right. Where
// nothing follows, not even a /, there is no value for {name...}: List is then shorter
// by one. [Pattern.Topic] makes the same topic of a list again.
func (v Values) List() []string {
	if v.pattern == nil {
		return nil
	}
	list := make([]string, 0, len(v.pattern.parameters))
	for _, q := range v.pattern.parameters {
		if value, ok := v.at(q); ok && q.name != "" {
			list = append(list, value)
		}
	}
	return list
}

// at returns the value of q. ok is false if the topic ends before it.
func (v Values) at(q parameter) (value string, ok bool) {
	value = v.topic
	for range q.level {
		if _, value, ok = strings.Cut(value, "/"); !ok {
			return "", false
		}
	}
	if !q.rest {
		value = firstLevel(value)
	}
	return value, true
}
