package match_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/match"
)

func TestPatternReadsValues(t *testing.T) {
	for _, test := range []struct {
		pattern, filter, topic string
		values                 []string // nil: it does not match
	}{
		{"devices/{id}/up", "devices/+/up", "devices/7/up", []string{"7"}},
		{"devices/{id}/up", "devices/+/up", "devices//up", []string{""}},
		{"devices/{id}/up", "devices/+/up", "devices/7/down", nil},
		{"devices/{id}/up", "devices/+/up", "devices/a/b/up", nil},
		{"{a}/{b}", "+/+", "/", []string{"", ""}},
		{"{a}/{b}", "+/+", "/x", []string{"", "x"}},
		{"/{a}", "/+", "/x", []string{"x"}},
		{"{a}", "+", "$SYS", nil},
		{"{a...}", "#", "$SYS/x", nil},
		{"{a...}", "#", "x/y", []string{"x/y"}},
		{"{a...}", "#", "/", []string{"/"}},
		{"$SYS/{what...}", "$SYS/#", "$SYS/broker/uptime", []string{"broker/uptime"}},
		{"/{a}", "/+", "/$x", []string{"$x"}},
		{"files/{path...}", "files/#", "files", []string{}},
		{"files/{path...}", "files/#", "files/", []string{""}},
		{"files/{path...}", "files/#", "files//", []string{"/"}},
		{"files/{path...}", "files/#", "files/a/b", []string{"a/b"}},
		{"{site}/files/{path...}", "+/files/#", "x/files/a", []string{"x", "a"}},
		{"a/+/{unit}/#", "a/+/+/#", "a/1/2/3/4", []string{"2"}},
		{"a/{x}/#", "a/+/#", "a/1", []string{"1"}},
		{"a/{{id}}/{id}", "a/{id}/+", "a/{id}/7", []string{"7"}},
		{"a/x{{y}}z/}}", "a/x{y}z/}", "a/x{y}z/}", []string{}},
		{"größe/{Zähler_1-a}", "größe/+", "größe/日本", []string{"日本"}},
		{"a b/{x}", "a b/+", "a b/ ", []string{" "}},
		{"plain", "plain", "plain", []string{}},
	} {
		p, err := match.ParsePattern(test.pattern)
		require.NoError(t, err, test.pattern)
		require.Equal(t, test.pattern, p.String())
		require.Equal(t, test.filter, p.Filter())
		values, ok := p.Match(test.topic)
		require.Equal(t, test.values != nil, ok, "%q, %q", test.pattern, test.topic)
		if !ok {
			require.Equal(t, match.Values{}, values)
			continue
		}
		require.Equal(t, test.values, values.List(), "%q, %q", test.pattern, test.topic)
		require.Equal(t, test.pattern, values.Pattern().String())
		for i, value := range test.values {
			require.Equal(t, value, values.Get(p.Names()[i]))
		}
		require.Empty(t, values.Get("nobody"))
		require.Empty(t, values.Get(""))
	}
}

func TestParsePatternRefuses(t *testing.T) {
	for text, problem := range map[string]string{
		"":                         "is empty",
		"a/{id":                    "does not enclose a whole level",
		"a/id}":                    "does not enclose a whole level",
		"a/{id}x":                  "does not enclose a whole level",
		"a/x{id}":                  "does not enclose a whole level",
		"a/{a}{b}":                 "does not enclose a whole level",
		"a/{{id}":                  "does not enclose a whole level",
		"a/{id}}":                  "does not enclose a whole level",
		"a/{a/b}":                  "does not enclose a whole level",
		"a/{}":                     "without a name; + needs none",
		"a/{...}":                  "without a name; # needs none",
		"a/{i d}":                  "other characters",
		"a/{i.d}":                  "other characters",
		"a/{id..}":                 "other characters",
		"a/{+}":                    "other characters",
		"{id}/a/{id}":              "has two parameters {id}",
		"{id}/a/{id...}":           "has two parameters {id}",
		"{path...}/a":              "has {path...} before the last level",
		"#/a":                      "has # before the last level",
		"a+/{id}":                  "has + beside other characters",
		"a#":                       "has # beside other characters",
		"$share/workers/a/{id}":    "begins with $share",
		"$share":                   "begins with $share",
		"a\x00/{id}":               "contains U+0000",
		"a/\xff":                   "is not valid UTF-8",
		strings.Repeat("a", 1<<16): "is longer than 65535 bytes",
	} {
		_, err := match.ParsePattern(text)
		invalid, ok := errors.AsType[*match.Error](err)
		require.True(t, ok, "%.100q", text)
		require.Equal(t, "topic pattern", invalid.Kind)
		require.Contains(t, invalid.Problem, problem, "%.100q", text)
		require.Panics(t, func() { match.MustParsePattern(text) })
	}
	// What counts is the length of the filter.
	_, err := match.ParsePattern(strings.Repeat("a", 65533) + "/{some}")
	require.NoError(t, err)
}

func TestPatternMakesTopics(t *testing.T) {
	for _, test := range []struct {
		pattern string
		values  []string
		topic   string
		problem string
	}{
		{"devices/{id}/up", []string{"7"}, "devices/7/up", ""},
		{"devices/{id}/up", []string{""}, "devices//up", ""},
		{"devices/{id}/up", []string{"日本"}, "devices/日本/up", ""},
		{"{a}/{b}", []string{"1", "2"}, "1/2", ""},
		{"{a}/{{b}}", []string{"1"}, "1/{b}", ""},
		{"files/{path...}", []string{"a/b"}, "files/a/b", ""},
		{"files/{path...}", []string{""}, "files/", ""},
		{"files/{path...}", nil, "files", ""},
		{"{a}/{path...}", []string{"x"}, "x", ""},
		{"/{path...}", nil, "", "is empty"}, // "" is no topic, though /# matches "/"
		{"plain", nil, "plain", ""},
		{"$SYS/{x}", []string{"y"}, "$SYS/y", ""},
		{"devices/{id}/up", []string{"a/b"}, "", "has a /"},
		{"devices/{id}/up", []string{"+"}, "", "has a wildcard"},
		{"devices/{id}/up", []string{"a#"}, "", "has a wildcard"},
		{"devices/{id}/up", []string{"a\x00"}, "", "contains U+0000"},
		{"devices/{id}/up", []string{"\xff"}, "", "is not valid UTF-8"},
		{"devices/{id}/up", nil, "", "takes 1 values, not 0"},
		{"devices/{id}/up", []string{"1", "2"}, "", "takes 1 values, not 2"},
		{"files/{path...}", []string{"a/+"}, "", "has a wildcard"},
		{"{a}", []string{"$SYS"}, "", "begins with $"},
		{"{a...}", []string{"$SYS/x"}, "", "begins with $"},
		{"{a}", []string{""}, "", "is empty"},
		{"{a...}", nil, "", "is empty"},
		{"a/+/{id}", []string{"x", "y"}, "", "has a wildcard without a name"},
		{"a/+/{id}", []string{"y"}, "", "has a wildcard without a name"},
		{"a/{id}/#", []string{"x"}, "", "has a wildcard without a name"},
		{"{a}", []string{strings.Repeat("a", 1<<16)}, "", "is longer than 65535 bytes"},
	} {
		p := match.MustParsePattern(test.pattern)
		topic, err := p.Topic(test.values...)
		require.Equal(t, test.topic, topic)
		if test.problem != "" {
			require.ErrorContains(t, err, test.problem, "%q %.100q", test.pattern, test.values)
			_, ok := errors.AsType[*match.Error](err)
			require.True(t, ok)
			continue
		}
		require.NoError(t, err, "%q", test.pattern)
		values, ok := p.Match(topic)
		require.True(t, ok)
		require.ElementsMatch(t, test.values, values.List())
	}
}

func TestTheZeroPatternMatchesNothing(t *testing.T) {
	var p match.Pattern
	_, ok := p.Match("a")
	require.False(t, ok)
	_, err := p.Topic()
	require.Error(t, err)
	require.Empty(t, match.Values{}.Get("a"))
	require.Empty(t, match.Values{}.List())
}

func TestPatternMatchAndGetDoNotAllocate(t *testing.T) {
	p := match.MustParsePattern("devices/{id}/up/{path...}")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		v, ok := p.Match("devices/7/up/a/b")
		if !ok || v.Get("id") != "7" || v.Get("path") != "a/b" {
			panic("wrong")
		}
	}))
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"devices/{id}/up", "a/{path...}", "{a}/+/#", "{{x}}/{y}", "$SYS/{x}", "/{a}//{b}"} {
		f.Add(seed, "devices/7/up", "7", "")
		f.Add(seed, "$SYS/x", "a/b", "$x")
	}
	f.Fuzz(func(t *testing.T, text, topic, first, second string) {
		p, err := match.ParsePattern(text)
		if err != nil {
			_, ok := errors.AsType[*match.Error](err)
			require.True(t, ok)
			return
		}
		require.NoError(t, match.ValidateFilter(p.Filter()))
		named := wildcards(p.Filter()) == len(p.Names()) // all of them

		values, ok := p.Match(topic)
		require.Equal(t, naiveMatch(p.Filter(), topic), ok)
		if ok && named && match.ValidateTopic(topic) == nil {
			again, err := p.Topic(values.List()...)
			require.NoError(t, err)
			require.Equal(t, topic, again)
		}

		// And the other way round.
		given := []string{first, second}
		if n := len(p.Names()); n < 2 {
			given = given[:n]
		}
		made, err := p.Topic(given...)
		if err != nil {
			return
		}
		values, ok = p.Match(made)
		require.True(t, ok)
		require.Equal(t, len(given), len(values.List()))
		for i, value := range values.List() {
			require.Equal(t, given[i], value)
		}
	})
}

// wildcards counts the wildcards of a filter.
func wildcards(filter string) (n int) {
	for level := range strings.SplitSeq(filter, "/") {
		if level == "+" || level == "#" {
			n++
		}
	}
	return n
}

func BenchmarkPattern(b *testing.B) {
	p := match.MustParsePattern("devices/{id}/up")
	b.Run("match-get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v, _ := p.Match("devices/sensor-7/up")
			v.Get("id")
		}
	})
	b.Run("topic", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Topic("sensor-7"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
