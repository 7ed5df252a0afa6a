package mqtt

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALargeMessageIsNotOvertakenForEver(t *testing.T) {
	var q capacityWaiters
	large := &capacityWaiter{size: 90, offer: make(chan struct{}, 1)}
	q.wait(large)
	for i := 0; ; i++ {
		small := &capacityWaiter{size: 50, offer: make(chan struct{}, 1)}
		q.wait(small)
		if len(q.offer(nil, &capacity{messages: 10, bytes: 60})) == 0 {
			require.Equal(t, mayPass, i)
			break
		}
	}
	require.Equal(t, []chan struct{}{large.offer}, q.offer(nil, &capacity{messages: 10, bytes: 100}))
	require.Len(t, q.offer(nil, &capacity{messages: 10, bytes: 60}), 1)
	require.Zero(t, q.list.len())
}

func TestWaitersKeepTheirPlace(t *testing.T) {
	var q capacityWaiters
	var all []*capacityWaiter
	for size := range 5 {
		w := &capacityWaiter{size: size + 1, offer: make(chan struct{}, 1)}
		all = append(all, w)
		q.wait(w)
	}
	require.Len(t, q.offer(nil, &capacity{messages: 2, bytes: 100}), 2)
	require.Equal(t, []int{2, 3}, []int{q.messages, q.bytes}, "what they were offered")
	q.leave(all[0])
	q.leave(all[1])
	require.Zero(t, q.messages+q.bytes)
	q.wait(all[1]) // it was not enough
	require.Equal(t, all[1:], slices.Collect(q.list.all()))
	q.leave(all[3])
	require.Empty(t, q.offer(nil, &capacity{messages: 2, bytes: 1}))
	require.Len(t, q.offer(nil, &capacity{empty: true, messages: 2, bytes: 0}), 1, "an empty queue takes any, once")
	require.Equal(t, []*capacityWaiter{all[2], all[4]}, slices.Collect(q.list.all()))
}

func TestManyWhoWaitAreLookedAtInParts(t *testing.T) {
	var q capacityWaiters
	var all []*capacityWaiter
	for range 100_000 {
		w := &capacityWaiter{size: 90, offer: make(chan struct{}, 1)}
		all = append(all, w)
		q.wait(w)
	}
	small := &capacityWaiter{size: 10, offer: make(chan struct{}, 1)}
	q.wait(small)
	require.Empty(t, q.offer(nil, &capacity{messages: 10, bytes: 60}), "it is too far behind")
	for _, w := range all[lookPast-1:] {
		q.leave(w)
	}
	require.Equal(t, []chan struct{}{small.offer}, q.offer(nil, &capacity{messages: 10, bytes: 60}))
	require.Equal(t, lookPast-1, q.list.len())
	require.Len(t, q.offer(nil, &capacity{messages: 1000, bytes: 1 << 20}), lookPast-1)
}

func TestRankingIsLikeASortedMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var r ranking[int]
	want := map[uint64]int{}
	for step := range 20_000 {
		number := 1 + random.Uint64N(300)
		_, there := want[number]
		if there {
			delete(want, number)
		} else if step%1000 < 600 {
			want[number] = step
			r.add(number, step)
			there = true
		}
		if _, still := want[number]; !still {
			require.Equal(t, there, r.remove(number))
		}
		require.Equal(t, len(want), r.len())
		require.LessOrEqual(t, len(r.places), 2*len(want)+17)
		if step%50 == 0 {
			numbers := slices.Sorted(maps.Keys(want))
			var all []int
			for _, n := range numbers {
				all = append(all, want[n])
			}
			require.Equal(t, all, slices.Collect(r.all()))
		}
	}
}

// Taking out one after the other must not move all that are left each time.
func TestEmptyingARankingMovesEachElementFewTimes(t *testing.T) {
	const n = 1 << 14
	for name, order := range map[string]func(i int) int{
		"first first": func(i int) int { return i },
		"last first":  func(i int) int { return n - 1 - i },
		"any":         func(i int) int { return i * 7919 % n },
	} {
		var r ranking[int]
		for i := range n {
			r.add(uint64(i+1), i)
		}
		moved := 0
		for i := range n {
			before := len(r.places)
			require.True(t, r.remove(uint64(order(i)+1)), name)
			if after := len(r.places); before-after > 1 && r.gone == 0 {
				moved += before
			}
		}
		require.Zero(t, r.len())
		require.Less(t, moved, 8*n, name)
	}
}
