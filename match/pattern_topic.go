package match

import (
	"strconv"
	"strings"
)

// Topic returns the topic in which the parameters have these values, from left to
// right. The value for {name...}, which comes last, may have several levels, and may be
// left out where nothing is to follow, not even a /.
//
// The error is an [*Error]. It refuses values that have a wildcard or U+0000, or a / in
// one level; numbers of values that do not fit; what is not a valid Topic Name; and a
// first level that begins with $ where p has a parameter, because p would not match
// that. A pattern with + or # has no topics to make. An empty value is an empty level.
//
// So p matches the topic, with these values.
func (p *Pattern) Topic(values ...string) (string, error) {
	if p.index("") >= 0 {
		return "", p.topicError("has a wildcard without a name, whose value nobody knows")
	}
	count := len(p.parameters)
	optional := count > 0 && p.parameters[count-1].rest
	if len(values) != count && !(optional && len(values) == count-1) {
		return "", p.topicError("takes " + strconv.Itoa(count) + " values, not " + strconv.Itoa(len(values)))
	}
	var b strings.Builder
	size := len(p.filter)
	for _, value := range values {
		size += len(value)
	}
	b.Grow(size)
	filter := p.filter
	for i, q := range p.parameters {
		wildcard := "+"
		if q.rest {
			wildcard = "#"
		}
		before, after, _ := strings.Cut(filter, wildcard)
		filter = after
		if i == len(values) {
			// The / goes with the level that is left out.
			b.WriteString(strings.TrimSuffix(before, "/"))
			break
		}
		if err := q.check(values[i]); err != nil {
			return "", err
		}
		b.WriteString(before)
		b.WriteString(values[i])
	}
	b.WriteString(filter)
	topic := b.String()
	if err := ValidateTopic(topic); err != nil {
		return "", err
	}
	if topic[0] == '$' && (p.filter[0] == '+' || p.filter[0] == '#') {
		return "", &Error{Kind: p.parameters[0].kind(), Input: values[0],
			Problem: "begins with $ in the first level, where a parameter does not match that"}
	}
	return topic, nil
}

func (p *Pattern) topicError(problem string) error {
	return &Error{Kind: kindPattern, Input: p.text, Problem: problem}
}

// kind says in an error what the value of q is.
func (q parameter) kind() string {
	if q.rest {
		return "value of {" + q.name + "...}"
	}
	return "value of {" + q.name + "}"
}

// check refuses a value that q cannot have.
func (q parameter) check(value string) error {
	problem := ""
	switch {
	case HasWildcard(value):
		problem = "has a wildcard"
	case !q.rest && strings.IndexByte(value, '/') >= 0:
		problem = "has a /, and stands for one level"
	case strings.IndexByte(value, 0) >= 0:
		problem = "contains U+0000"
	}
	if problem == "" {
		return nil
	}
	return &Error{Kind: q.kind(), Input: value, Problem: problem}
}
