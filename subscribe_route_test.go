package mqtt

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMembersAreLikeASet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]*Subscription, 60)
	for i := range all {
		all[i] = new(Subscription)
	}
	var m members
	want := map[*Subscription]bool{}
	for step := range 20_000 {
		s := all[random.IntN(len(all))]
		if step%1000 < 600 {
			if !want[s] {
				want[s] = true
				m.add(s)
			}
		} else {
			delete(want, s)
			m.remove(s)
		}
		require.Equal(t, len(want), m.len())
		for i, s := range m.list {
			require.True(t, want[s])
			at, there := m.find(s)
			require.True(t, there)
			require.Equal(t, i, at)
		}
	}
}

// What is retained comes for each SUBSCRIBE, and those whose answer has come have had it.
func TestNewcomersAreThoseWithoutAnAnswerWhenTheLastOneCame(t *testing.T) {
	r := new(router)
	b := &inbox{router: r}
	f := Filter{Filter: "a"}
	add := func() *Subscription {
		s := &Subscription{inbox: b, options: SubscribeOptions{Filters: []Filter{f}}}
		require.NoError(t, r.addLocked(s))
		return s
	}
	first, second := add(), add()
	b.granted(first, []Ack{{}})
	third := add()
	route := r.routes["a"]
	require.Equal(t, []*Subscription{second, third}, route.recent())
	b.granted(second, []Ack{{}})
	require.Equal(t, []*Subscription{second, third}, route.recent(), "its retained messages may still come")
	fourth := add()
	require.Equal(t, []*Subscription{third, fourth}, route.recent())
	r.removeLocked(fourth)
	require.Equal(t, []*Subscription{third}, route.recent())
	for range 1000 {
		b.granted(add(), []Ack{{}})
	}
	require.LessOrEqual(t, route.newcomers.len(), 2*fewMembers+2)
}

func TestManyFiltersAreFoundAsFewAre(t *testing.T) {
	r := new(router)
	r.init(nil, false)
	b := &inbox{router: r}
	other := &Subscription{inbox: b, options: SubscribeOptions{Filters: []Filter{{Filter: "#"}, {Filter: "x/+"}}}}
	many := &Subscription{inbox: b}
	for i := range 4 * fewRoutes {
		many.options.Filters = append(many.options.Filters, Filter{Filter: fmt.Sprintf("%d/#", i)}, Filter{Filter: fmt.Sprint(i)})
	}
	many.options.Filters = append(many.options.Filters, Filter{Filter: "x/+"}, Filter{Filter: "+/+"})
	require.NoError(t, r.addLocked(other))
	require.NoError(t, r.addLocked(many))
	for _, topic := range []string{"0", "7", "31/a/b", "x/1", "8/8", "y", "y/y/y"} {
		var want, got []string
		first := many.name()
		for _, s := range many.routes {
			if s.matches(topic) {
				want = append(want, s.filter)
			}
		}
		if len(want) > 0 {
			first = want[0]
		}
		for _, s := range r.routesOfLocked(many, topic) {
			got = append(got, s.filter)
		}
		require.ElementsMatch(t, want, got, topic)
		require.Equal(t, first, many.filterOf(topic), topic)
		for _, s := range r.routesOfLocked(other, topic) {
			require.True(t, s.matches(topic))
		}
	}
	r.removeLocked(many)
	require.Equal(t, "7/#", many.filterOf("7"), "also after its end")
}

func TestManyFiltersClaimWhatWaits(t *testing.T) {
	var u unclaimed
	for _, topic := range []string{"1", "2/a", "x", "30/b"} {
		u.messages = append(u.messages, waiting{Message: &Message{Topic: topic}})
	}
	var topics []string
	for i := range 4 * fewRoutes {
		topics = append(topics, fmt.Sprintf("%d/#", i))
	}
	var taken []string
	for _, m := range u.claim(topics) {
		taken = append(taken, m.Topic)
	}
	require.Equal(t, []string{"1", "2/a", "30/b"}, taken)
	require.Len(t, u.messages, 1)
}
