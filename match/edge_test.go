package match

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommonLevels(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want string
	}{
		{"a", "a", "a"}, {"a/b", "a", "a"}, {"a/b", "a/bc", "a"}, {"a/b/c", "a/b/d", "a/b"}, {"a//", "a/", "a/"}, {"/", "/a", ""}, {"ab/c", "ab/c", "ab/c"},
	} {
		require.Equal(t, len(test.want), commonLevels(test.a, test.b), "%q %q", test.a, test.b)
		require.Equal(t, len(test.want), commonLevels(test.b, test.a), "%q %q", test.b, test.a)
	}
}

func TestAlong(t *testing.T) {
	for _, test := range []struct {
		edge, topic, rest string
		more, ok          bool
	}{
		{"a", "a", "", false, true},
		{"a", "a/b", "b", true, true},
		{"a", "a/", "", true, true},
		{"a", "ab", "", false, false},
		{"a/b", "a", "", false, false},
		{"+", "", "", false, true},
		{"+/b", "a/b/c/d", "c/d", true, true},
		{"a/+/c", "a//c", "", false, true},
		{"a/+", "a", "", false, false},
		{"a/+", "a/", "", false, true},
		{"a/b+", "a/bc", "", false, false},
		{"+/b", "a/bc", "", false, false},
		{"+/+", "a/b", "", false, true},
	} {
		rest, more, ok := along(test.edge, test.topic)
		require.Equal(t, test.ok, ok, "%q %q", test.edge, test.topic)
		if ok {
			require.Equal(t, test.rest, rest, "%q %q", test.edge, test.topic)
			require.Equal(t, test.more, more, "%q %q", test.edge, test.topic)
		}
	}
}

// What stands under many levels costs its text and a node, not a node for each level.
func TestLevelsCostTheirTextOnly(t *testing.T) {
	const n = 1000
	deep := strings.Repeat("a/", 126)
	var filters Tree[int]
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprint("+/", i, "/", deep)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, text := range texts {
		filters.Insert(text, 1)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/n, uint64(1500))
}

// BenchmarkTreeManyWays is about filters that open as many ways as they can, all of
// which a topic goes along to the end and in vain.
func BenchmarkTreeManyWays(b *testing.B) {
	for name, tail := range map[string]string{"levels": "a/", "plus": "+/a/"} {
		var tree Tree[int]
		end := strings.Repeat(tail, 110/strings.Count(tail, "/"))
		for n := range 1 << 12 {
			var levels []string
			for bit := range 12 {
				levels = append(levels, []string{"a", "+"}[n>>bit&1])
			}
			tree.Insert(strings.Join(levels, "/")+"/"+end+"never", n)
		}
		topic := strings.Repeat("a/", 12) + strings.Repeat("a/", 110) + "other"
		b.Run(name, func(b *testing.B) {
			var found []int
			for b.Loop() {
				found = tree.Append(found[:0], topic)
			}
			if len(found) > 0 {
				b.Fatal(len(found))
			}
		})
	}
}
