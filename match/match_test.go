package match_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/match"
)

// matching is the table of filters with topics that they match and do not.
var matching = []struct {
	filter  string
	matches []string
	not     []string
}{
	{"#", []string{"a", "/", "a/b/c"}, []string{"$SYS/x", "$SYS", "$"}},
	{"+", []string{"a"}, []string{"/a", "$SYS", "a/b"}},
	{"+/+", []string{"/finance", "a/b", "/"}, []string{"a", "$SYS/x"}},
	{"/+", []string{"/finance", "/", "/$SYS"}, []string{"finance"}},
	{"+/#", []string{"a", "a/b", "/", "a/$b"}, []string{"$SYS", "$SYS/a"}},
	{"a/#", []string{"a", "a/b", "a/b/c", "a/", "a/$SYS"}, []string{"ab", "A", "/a"}},
	{"/#", []string{"/", "/a", "//"}, []string{"a"}},
	{"a/+", []string{"a/b", "a/"}, []string{"a", "a/b/c", "a//"}},
	{"a/+/#", []string{"a/b", "a/b/c", "a/"}, []string{"a"}},
	{"a/+/b", []string{"a/x/b", "a//b"}, []string{"a/b", "a/x/y/b", "a/x/b/c"}},
	{"+/monitor", []string{"x/monitor"}, []string{"$SYS/monitor"}},
	{"$SYS/#", []string{"$SYS", "$SYS/a/b"}, []string{"SYS/a", "$SYSTEM"}},
	{"$SYS/+", []string{"$SYS/a"}, []string{"$SYS", "$SYS/a/b"}},
	{"a/b", []string{"a/b"}, []string{"A/b", "/a/b", "a/b/", "a//b", "a/b ", "a"}},
	{"caf\u00e9", []string{"caf\u00e9"}, []string{"cafe\u0301"}},
}

func TestMatch(t *testing.T) {
	for _, test := range matching {
		for _, shared := range []string{"", "$share/g/"} {
			for _, topic := range test.matches {
				require.True(t, match.Match(shared+test.filter, topic), "%q, %q", shared+test.filter, topic)
			}
			for _, topic := range test.not {
				require.False(t, match.Match(shared+test.filter, topic), "%q, %q", shared+test.filter, topic)
			}
		}
	}
	require.False(t, match.Match("#", ""))
	require.False(t, match.Match("", "a"))
	require.False(t, match.Match("", ""))
}

func TestMatchTakesTheShareNameOnlyFromVersion5(t *testing.T) {
	require.True(t, match.Match("$share/g/a/+", "a/b"))
	require.False(t, match.Match("$share/g/a/+", "$share/g/a/b"))
	require.False(t, match.MatchPlain("$share/g/a/+", "a/b"))
	require.True(t, match.MatchPlain("$share/g/a/+", "$share/g/a/b"))
}

func TestMatchOfLongTextIsNotRecursive(t *testing.T) {
	deep := strings.Repeat("/", 65535)
	require.True(t, match.Match(deep, deep))
	require.True(t, match.Match("+"+strings.Repeat("/+", 32767), strings.Repeat("/", 32767)))
	require.False(t, match.Match("+"+strings.Repeat("/+", 32767), deep))
}

func TestSplitShared(t *testing.T) {
	for _, test := range []struct {
		filter, share, rest string
		ok                  bool
	}{
		{"$share/g/a/+", "g", "a/+", true},
		{"$share/g//a", "g", "/a", true},
		{"$share/g/$share/h/a", "g", "$share/h/a", true},
		{"$share/g//", "g", "/", true},
		{"a/b", "", "a/b", false},
		{"", "", "", false},
		{"$share", "", "$share", false},
		{"$share/", "", "$share/", false},
		{"$share/g", "", "$share/g", false},
		{"$share/g/", "", "$share/g/", false},
		{"$share//a", "", "$share//a", false},
		{"$share/+/a", "", "$share/+/a", false},
		{"$shared/g/a", "", "$shared/g/a", false},
	} {
		share, rest, ok := match.SplitShared(test.filter)
		require.Equal(t, test.share, share, "%q", test.filter)
		require.Equal(t, test.rest, rest, "%q", test.filter)
		require.Equal(t, test.ok, ok, "%q", test.filter)
	}
}

func TestHasWildcard(t *testing.T) {
	require.True(t, match.HasWildcard("a/+"))
	require.True(t, match.HasWildcard("#"))
	require.True(t, match.HasWildcard("$share/g/#"))
	require.False(t, match.HasWildcard("a/b"))
	require.False(t, match.HasWildcard(""))
}

func TestMatchDoesNotAllocate(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !match.Match("$share/group/sensors/+/#", "sensors/7/temp") {
			panic("no match")
		}
	}))
}

// naiveMatch is the specification without any care for speed.
func naiveMatch(filter, topic string) bool {
	if filter == "" || topic == "" {
		return false
	}
	want, levels := strings.Split(filter, "/"), strings.Split(topic, "/")
	if topic[0] == '$' && (want[0] == "#" && len(want) == 1 || want[0] == "+") {
		return false
	}
	if last := len(want) - 1; want[last] == "#" {
		want = want[:last]
		if len(levels) < len(want) {
			return false
		}
		levels = levels[:len(want)]
	}
	if len(want) != len(levels) {
		return false
	}
	for i := range want {
		if want[i] != "+" && want[i] != levels[i] {
			return false
		}
	}
	return true
}

func FuzzMatch(f *testing.F) {
	for _, test := range matching {
		f.Add(test.filter, test.matches[0])
		f.Add(test.filter, test.not[0])
	}
	f.Add("$share/g/a/+", "a/b")
	f.Fuzz(func(t *testing.T, filter, topic string) {
		require.Equal(t, naiveMatch(filter, topic), match.MatchPlain(filter, topic))
		rest := filter
		if parts := strings.SplitN(filter, "/", 3); len(parts) == 3 && parts[0] == "$share" &&
			parts[1] != "" && !strings.ContainsAny(parts[1], "+#") && parts[2] != "" {
			rest = parts[2]
		}
		require.Equal(t, naiveMatch(rest, topic), match.Match(filter, topic))
	})
}

func BenchmarkMatch(b *testing.B) {
	for _, filter := range []string{"sensors/7/temp", "sensors/+/temp", "#"} {
		b.Run(filter, func(b *testing.B) {
			for b.Loop() {
				match.Match(filter, "sensors/7/temp")
			}
		})
	}
}
