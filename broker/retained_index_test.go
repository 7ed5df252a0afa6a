package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

func topicMessage(topic string) *message { return &message{publish: wire.Publish{Topic: topic}} }

// found returns what filter matches, walked with so much effort at a time.
func (x *topicIndex) found(filter string, topics int) (found []string, steps int) {
	from, over := "", false
	for !over {
		e := budget{topics: topics, text: 1 << 20}
		from, over = x.walk(filter, from, &e, func(m *message) bool {
			found = append(found, m.publish.Topic)
			return true
		})
		steps++
	}
	return found, steps
}

func randomTopic(rng *rand.Rand) string {
	levels := []string{"", "a", "b", "ab", "a!", "a-b", "$x", "\x01", "é"}
	topic := make([]string, 1+rng.IntN(4))
	for i := range topic {
		topic[i] = levels[rng.IntN(len(levels))]
	}
	if s := strings.Join(topic, "/"); s != "" {
		return s
	}
	return "a"
}

func randomFilter(rng *rand.Rand) string {
	filter := strings.Split(randomTopic(rng), "/")
	for i := range filter {
		if rng.IntN(3) == 0 {
			filter[i] = "+"
		}
	}
	if rng.IntN(3) == 0 {
		filter[len(filter)-1] = "#"
	}
	return strings.Join(filter, "/")
}

// TestIndexFindsWhatMatches compares it with a map and the plain rules, while topics come
// and go.
func TestIndexFindsWhatMatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var x topicIndex
	there := map[string]*message{}
	for range 1500 {
		topic := randomTopic(rng)
		if rng.IntN(3) == 0 {
			x.Remove(topic)
			delete(there, topic)
		} else {
			m := topicMessage(topic)
			x.set(m)
			there[topic] = m
		}
		require.Equal(t, len(there), x.Len())
		require.Same(t, there[topic], x.get(topic))
		filter := randomFilter(rng)
		var want []string
		for topic := range there {
			if match.MatchPlain(filter, topic) {
				want = append(want, topic)
			}
		}
		slices.SortFunc(want, compareTopics)
		got, _ := x.found(filter, 1+rng.IntN(10))
		require.Equal(t, want, got, filter)
	}
}

func TestIndexWithManyBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var x topicIndex
	order := rng.Perm(5000)
	for _, i := range order {
		x.set(topicMessage(fmt.Sprintf("s/%04d", i)))
	}
	got, _ := x.found("s/+", 100)
	require.Len(t, got, 5000)
	require.True(t, slices.IsSorted(got))
	for _, i := range order[:4900] {
		x.Remove(fmt.Sprintf("s/%04d", i))
	}
	got, _ = x.found("#", 100)
	require.Len(t, got, 100)
	for _, i := range order[4900:] {
		x.Remove(fmt.Sprintf("s/%04d", i))
	}
	require.Zero(t, x.Len())
}

// TestIndexLooksOnlyWhereSomethingCanMatch counts what a walk looks at.
func TestIndexLooksOnlyWhereSomethingCanMatch(t *testing.T) {
	var x topicIndex
	for i := range 10_000 {
		x.set(topicMessage(fmt.Sprintf("building/%d/%d", i/10, i%10)))
	}
	for filter, most := range map[string]int{"building/7/+": 20, "building/7/7": 10, "nothing/#": 5, "building/77/#": 20, "+/7/7": 20, "building/+/7": 4100} {
		e := budget{topics: 1 << 20, text: 1 << 30}
		_, over := x.walk(filter, "", &e, func(*message) bool { return true })
		require.True(t, over)
		require.LessOrEqual(t, 1<<20-e.topics, most, filter)
	}
}
