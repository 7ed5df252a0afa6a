package match

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func topicTreeOf(topics ...string) *TopicTree[int] {
	var tree TopicTree[int]
	for i, topic := range topics {
		tree.Set(topic, i)
	}
	return &tree
}

func TestTopicTreeFindsWhatMatchFinds(t *testing.T) {
	topics := []string{
		"a", "/", "a/b", "a/b/c", "a/x/b", "$SYS", "$SYS/x", "$SYS/a/b", "/finance", "finance", "a/", "ab", "a//",
		"x/monitor", "$SYS/monitor", "$", "//", "A/b", "caf\u00e9", "cafe\u0301", "$share/g/a", "x/b",
	}
	tree := topicTreeOf(topics...)
	require.Equal(t, len(topics), tree.Len())
	for _, filter := range []string{
		"#", "+", "+/+", "/+", "+/#", "a/#", "/#", "a/+", "a/+/#", "a/+/b", "+/monitor", "$SYS/#", "$SYS/+", "$SYS",
		"a/b", "a", "/", "A/b", "caf\u00e9", "$share/g/a", "+/+/#", "+/b", "none", "none/#", "a/b/c/d", "",
	} {
		want := map[string]int{}
		for i, topic := range topics {
			if MatchPlain(filter, topic) {
				want[topic] = i
			}
		}
		require.Equal(t, want, maps.Collect(tree.Match(filter)), "%q", filter)
	}
}

func TestTopicTreeSetReplaces(t *testing.T) {
	tree := topicTreeOf("a", "a/b")
	tree.Set("a", 7)
	require.Equal(t, 2, tree.Len())
	v, ok := tree.Get("a")
	require.True(t, ok)
	require.Equal(t, 7, v)
}

func TestTopicTreeGetAndDeleteOfWhatIsNotThere(t *testing.T) {
	tree := topicTreeOf("a/b/c", "a/b")
	for _, topic := range []string{"a", "b", "a/b/c/d", "a/b/", "", "/"} {
		_, ok := tree.Get(topic)
		require.False(t, ok, "%q", topic)
		require.False(t, tree.Delete(topic), "%q", topic)
	}
	require.Equal(t, 2, tree.Len())
}

func TestTopicTreeMatchStopsWhenTheLoopDoes(t *testing.T) {
	tree := topicTreeOf("a", "a/b", "a/c", "b", "b/c/d", "c")
	for _, filter := range []string{"#", "+/#"} {
		for stop := 1; stop <= tree.Len(); stop++ {
			seen := 0
			for range tree.Match(filter) {
				if seen++; seen == stop {
					break
				}
			}
			require.Equal(t, stop, seen, filter)
		}
	}
}

func TestTopicTreeFreesWhatIsDeleted(t *testing.T) {
	tree, bystander := topicTreeOf("k/a", "k/a/b/c"), topicTreeOf("k/a", "k/a/b/c")
	for _, topic := range []string{"k", "k/a/b", "k/a/b/c/d/e", "k/x/y/z", "x", "/", "k/a/x"} {
		tree.Set(topic, 1)
		require.True(t, tree.Delete(topic))
		require.Equal(t, bystander, tree, "%q", topic)
	}
	require.True(t, tree.Delete("k/a"))
	require.True(t, tree.Delete("k/a/b/c"))
	require.Equal(t, &TopicTree[int]{}, tree)
}

func TestTopicTreeOfDeepTopics(t *testing.T) {
	var tree TopicTree[int]
	deepest := strings.Repeat("/", 65535)
	tree.Set(deepest, 1)
	tree.Set(deepest[:32767], 2)
	for filter, want := range map[string]int{
		"#": 2, "/#": 2, deepest: 1, "+" + strings.Repeat("/+", 32766) + "/#": 2, "+" + strings.Repeat("/+", 32767): 1,
	} {
		require.Len(t, maps.Collect(tree.Match(filter)), want)
	}
	require.True(t, tree.Delete(deepest))
	require.True(t, tree.Delete(deepest[:32767]))
	require.Equal(t, TopicTree[int]{}, tree)
}

// FuzzTopicTree runs a script against a tree and a map. A line is an operation:
// + sets a topic to the byte that follows, - deletes it, anything else looks a
// filter up.
func FuzzTopicTree(f *testing.F) {
	f.Add("+1a/b\n+2a\n?0a/#\n-1a/b\n?0#")
	f.Add("+1$SYS/a\n+1a/a\n?0+/a\n?0#\n?0$SYS/#\n+2a/a\n?0a/a")
	f.Add("+1a/b/c\n+1a/b\n+1a/d\n-1a/b\n?0a/+\n?0a/+/#\n?0+/+/c\n?0#/a\n?0+b")
	f.Fuzz(func(t *testing.T, script string) {
		var tree TopicTree[int]
		model := map[string]int{}
		for line := range strings.SplitSeq(script, "\n") {
			if len(line) < 3 {
				continue
			}
			text, value := line[2:], int(line[1])
			old, was := model[text]
			v, ok := tree.Get(text)
			require.Equal(t, was, ok)
			require.Equal(t, old, v)
			switch line[0] {
			case '+':
				tree.Set(text, value)
				model[text] = value
			case '-':
				require.Equal(t, was, tree.Delete(text))
				delete(model, text)
			default:
				want := maps.Clone(model)
				maps.DeleteFunc(want, func(topic string, _ int) bool { return !MatchPlain(text, topic) })
				require.Equal(t, want, maps.Collect(tree.Match(text)))
			}
			require.Equal(t, len(model), tree.Len())
		}
		for topic := range model {
			require.True(t, tree.Delete(topic))
		}
		require.Equal(t, TopicTree[int]{}, tree)
	})
}

func BenchmarkTopicTree(b *testing.B) {
	for _, n := range []int{1, 100, 10_000, 100_000} {
		var tree TopicTree[int]
		for i := range n {
			tree.Set(fmt.Sprintf("site/%d/device/%d/temp", i%100, i), i)
		}
		b.Run(fmt.Sprintf("get-%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := tree.Get("site/0/device/0/temp"); !ok {
					b.Fatal("not found")
				}
			}
		})
		b.Run(fmt.Sprintf("match-%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				found := 0
				for range tree.Match("site/0/device/0/+") {
					found++
				}
				if found != 1 {
					b.Fatal(found)
				}
			}
		})
	}
}
