package match

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pair is one value under one filter.
type pair struct {
	filter string
	value  int
}

func treeOf(filters ...string) *Tree[int] {
	var tree Tree[int]
	for i, filter := range filters {
		tree.Insert(filter, i)
	}
	return &tree
}

func found(tree *Tree[int], topic string) []int {
	values := tree.Append(nil, topic)
	slices.Sort(values)
	return values
}

func TestTreeFindsWhatMatchFinds(t *testing.T) {
	filters := []string{
		"#", "+", "+/+", "/+", "+/#", "a/#", "/#", "a/+", "a/+/#", "a/+/b", "+/monitor", "$SYS/#", "$SYS/+",
		"a/b", "a", "/", "$SYS", "A/b", "a/b/", "caf\u00e9", "$share/g/a", "+/+/#", "a/b/#", "+/b",
	}
	tree := treeOf(filters...)
	for _, topic := range []string{
		"a", "/", "a/b", "a/b/c", "a/x/b", "$SYS", "$SYS/x", "$SYS/a/b", "/finance", "finance", "a/", "ab", "a//",
		"x/monitor", "$SYS/monitor", "$", "//", "A/b", "caf\u00e9", "cafe\u0301", "$share/g/a", "x/b", "",
	} {
		var want []int
		for i, filter := range filters {
			if MatchPlain(filter, topic) {
				want = append(want, i)
			}
		}
		require.Equal(t, want, found(tree, topic), "%q", topic)
		require.ElementsMatch(t, want, slices.Collect(tree.Match(topic)), "%q", topic)
	}
}

func TestTreeKeepsAValueOncePerFilter(t *testing.T) {
	var tree Tree[int]
	for _, filter := range []string{"a/b", "a/+", "a/#"} {
		require.True(t, tree.Insert(filter, 1))
		require.False(t, tree.Insert(filter, 1))
		require.True(t, tree.Insert(filter, 2))
	}
	require.Equal(t, 6, tree.Len())
	require.Equal(t, []int{1, 1, 1, 2, 2, 2}, found(&tree, "a/b"))

	require.True(t, tree.Delete("a/+", 1))
	require.False(t, tree.Delete("a/+", 1))
	require.Equal(t, 5, tree.Len())
	require.Equal(t, []int{1, 1, 2, 2, 2}, found(&tree, "a/b"))
}

func TestTreeAppendKeepsWhatIsInDst(t *testing.T) {
	require.Equal(t, []int{7, 0}, treeOf("a").Append([]int{7}, "a"))
	require.Equal(t, []int{7}, treeOf("a").Append([]int{7}, "b"))
}

func TestTreeMatchStopsWhenTheLoopDoes(t *testing.T) {
	tree := treeOf("a/b", "a/+", "+/b", "a/#", "#", "+/+")
	for stop := 1; stop <= tree.Len(); stop++ {
		seen := 0
		for range tree.Match("a/b") {
			if seen++; seen == stop {
				break
			}
		}
		require.Equal(t, stop, seen)
		seen = 0
		for range tree.All() {
			if seen++; seen == stop {
				break
			}
		}
		require.Equal(t, stop, seen)
	}
}

func TestTreeDeleteOfWhatIsNotThere(t *testing.T) {
	tree := treeOf("a/+/b", "a/b", "a/+/#")
	for _, filter := range []string{"a", "b", "+", "#", "a/+", "a/+/b/#", "a/+/b/c", "x/+", "a/b/#", "a/#", ""} {
		require.False(t, tree.Delete(filter, 0), "%q", filter)
	}
	require.False(t, tree.Delete("a/+/b", 9))
	require.False(t, tree.Delete("a/b", 9))
	require.Equal(t, 3, tree.Len())
}

func TestTreeAllReturnsFiltersAsInserted(t *testing.T) {
	filters := []string{"a/b", "a/+", "+/+/#", "#", "+", "a/+/c", "//+"}
	got := maps.Collect(treeOf(filters...).All())
	want := map[string]int{}
	for i, filter := range filters {
		want[filter] = i
	}
	require.Equal(t, want, got)
}

func TestTreeFreesWhatIsDeleted(t *testing.T) {
	kept := treeOf("k/+", "k/+/a/b", "k/#")
	bystander := treeOf("k/+", "k/+/a/b", "k/#")
	for _, filter := range []string{"k/+/a/b/c/+/d", "k/+/a/+", "k/x/+", "x/+/#", "k/+/#", "+", "#", "+/+", "k/+/a/#"} {
		require.True(t, kept.Insert(filter, 1))
		require.True(t, kept.Delete(filter, 1))
		require.Equal(t, bystander, kept, "%q", filter)
	}
	for i, filter := range []string{"k/+", "k/+/a/b", "k/#"} {
		require.True(t, kept.Delete(filter, i))
	}
	require.Equal(t, &Tree[int]{}, kept)
}

func TestTreeOfManyValuesUnderOneFilter(t *testing.T) {
	const n = 1000
	for _, filter := range []string{"a", "+"} {
		var tree Tree[int]
		for i := range n {
			require.True(t, tree.Insert(filter, i))
			require.False(t, tree.Insert(filter, i))
		}
		for i := 0; i < n; i += 2 {
			require.True(t, tree.Delete(filter, i))
			require.False(t, tree.Delete(filter, i))
		}
		values := found(&tree, "a")
		require.Len(t, values, n/2)
		for i, v := range values {
			require.Equal(t, 2*i+1, v)
		}
		for i := 1; i < n; i += 2 {
			require.True(t, tree.Delete(filter, i))
		}
		require.Equal(t, Tree[int]{}, tree)
	}
}

// The deepest texts there are, with many forks on the way.
func TestTreeOfDeepFilters(t *testing.T) {
	var tree Tree[int]
	deepest := strings.Repeat("/", 65535)
	require.True(t, tree.Insert(deepest[1:]+"+", 1))
	require.True(t, tree.Insert(deepest[2:]+"/#", 2))
	require.True(t, tree.Insert("+"+strings.Repeat("/+", 32767), 3))
	for i := 1; i < 32767; i += 64 {
		require.True(t, tree.Insert(strings.Repeat("/", i)+"+/#", 10))
	}
	require.Equal(t, []int{1, 2}, slices.DeleteFunc(found(&tree, deepest[1:]), func(v int) bool { return v == 10 }))
	require.Equal(t, 3, slices.Min(tree.Append(nil, deepest[:32767])))
	require.Equal(t, tree.Len(), len(maps.Collect(tree.All())))
	for filter, v := range maps.Collect(tree.All()) {
		require.True(t, tree.Delete(filter, v))
	}
	require.Equal(t, Tree[int]{}, tree)
}

func TestTreeLookupDoesNotAllocate(t *testing.T) {
	tree := treeOf("a/b/c", "a/+/c", "+/b/#", "#", "a/b/+", "+/+/+")
	dst, sum := make([]int, 0, 8), 0
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = tree.Append(dst[:0], "a/b/c") }))
	require.Len(t, dst, 6)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for v := range tree.Match("a/b/c") {
			sum += v
		}
	}))
	require.NotZero(t, sum)
}

// FuzzTree runs a script against a tree and a plain set of pairs. A line is an
// operation: + inserts, - deletes, anything else looks a topic up; the byte
// after it is the value, the rest the text.
func FuzzTree(f *testing.F) {
	f.Add("+1a/b\n+2a/+\n?0a/b\n-1a/b\n?0a/b")
	f.Add("+1#\n+1+/#\n+1a/#\n?0$SYS\n?0a\n-1#\n?0a/b/c")
	f.Add("+1a/+/b\n+1a/+/c\n+1a/+\n-1a/+/b\n-1a/+\n?0a/x/c")
	f.Add("+1+/+/+\n+2a/+/+\n+3a/b/+\n+4+/b/c\n?0a/b/c\n-3a/b/+\n?0a/b/c\n+5#/a\n+6a#")
	f.Fuzz(func(t *testing.T, script string) {
		var tree Tree[int]
		model := map[pair]bool{}
		for line := range strings.SplitSeq(script, "\n") {
			if len(line) < 2 {
				continue
			}
			p := pair{filter: line[2:], value: int(line[1])}
			switch line[0] {
			case '+':
				require.Equal(t, !model[p], tree.Insert(p.filter, p.value))
				model[p] = true
			case '-':
				require.Equal(t, model[p], tree.Delete(p.filter, p.value))
				delete(model, p)
			default:
				var want []int
				for p := range model {
					if MatchPlain(p.filter, line[2:]) {
						want = append(want, p.value)
					}
				}
				slices.Sort(want)
				require.Equal(t, want, found(&tree, line[2:]))
			}
			require.Equal(t, len(model), tree.Len())
		}
		all := map[pair]bool{}
		for filter, v := range tree.All() {
			all[pair{filter, v}] = true
		}
		require.Equal(t, model, all)
		for p := range model {
			require.True(t, tree.Delete(p.filter, p.value))
		}
		require.Equal(t, Tree[int]{}, tree)
	})
}

func BenchmarkTree(b *testing.B) {
	for _, kind := range []struct {
		name   string
		filter func(i int) string
	}{
		{"exact", func(i int) string { return fmt.Sprintf("site/%d/device/%d/temp", i%100, i) }},
		{"wildcard", func(i int) string { return fmt.Sprintf("site/%d/device/%d/+", i%100, i) }},
		{"mixed", func(i int) string {
			form := []string{"site/%d/device/%d/temp", "site/%d/+/%d/temp", "site/%d/device/%d/#", "+/%d/device/%d/+"}
			return fmt.Sprintf(form[i%4], i%100, i)
		}},
	} {
		for _, n := range []int{1, 100, 10_000, 100_000} {
			var tree Tree[int]
			for i := range n {
				tree.Insert(kind.filter(i), i)
			}
			// Every topic has one match among the first filters of its kind.
			var topics []string
			for i := range min(n, 1000) {
				topics = append(topics, fmt.Sprintf("site/%d/device/%d/temp", i%100, i))
			}
			b.Run(fmt.Sprintf("%s-%d", kind.name, n), func(b *testing.B) {
				b.ReportAllocs()
				dst, next := make([]int, 0, 8), 0
				for b.Loop() {
					if dst = tree.Append(dst[:0], topics[next]); len(dst) != 1 {
						b.Fatal(topics[next], dst)
					}
					if next++; next == len(topics) {
						next = 0
					}
				}
			})
		}
	}
}

func BenchmarkTreeInsertDelete(b *testing.B) {
	for _, filter := range []string{"site/7/device/9/temp", "site/7/device/9/+"} {
		b.Run(filter, func(b *testing.B) {
			b.ReportAllocs()
			tree := treeOf("site/+/device/1/temp", "site/7/device/1/temp")
			for b.Loop() {
				tree.Insert(filter, 1)
				tree.Delete(filter, 1)
			}
		})
	}
}
