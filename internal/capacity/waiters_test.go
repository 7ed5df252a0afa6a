package capacity

import (
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// free is a queue that takes so much, of any class.
func free(messages, bytes int) *Free {
	unlimited := Room{Load: Load{1 << 30, 1 << 30}}
	return &Free{All: Room{Load: Load{messages, bytes}}, Class: [classes]Room{unlimited, unlimited}}
}

func emptyQueue() *Free {
	f := free(2, 0)
	f.All.Empty, f.Class[Acknowledged].Empty = true, true
	return f
}

// all yields all elements in order. None may be taken out meanwhile.
func (r *ranking[E]) all() iter.Seq[E] {
	return func(yield func(E) bool) {
		for _, p := range r.places {
			if !p.gone && !yield(p.element) {
				return
			}
		}
	}
}

func TestALargeMessageIsNotOvertakenForEver(t *testing.T) {
	var q Waiters
	large := &Waiter{Size: 90, Offer: make(chan struct{}, 1)}
	q.Wait(large)
	for i := 0; ; i++ {
		small := &Waiter{Size: 50, Offer: make(chan struct{}, 1)}
		q.Wait(small)
		if len(q.Offer(nil, free(10, 60))) == 0 {
			require.Equal(t, mayPass, i)
			break
		}
	}
	require.Equal(t, []chan struct{}{large.Offer}, q.Offer(nil, free(10, 100)))
	require.Len(t, q.Offer(nil, free(10, 60)), 1)
	require.Zero(t, q.lines[Acknowledged].ranking.len())
}

func TestWaitersKeepTheirPlace(t *testing.T) {
	var q Waiters
	var all []*Waiter
	for size := range 5 {
		w := &Waiter{Size: size + 1, Offer: make(chan struct{}, 1)}
		all = append(all, w)
		q.Wait(w)
	}
	require.Len(t, q.Offer(nil, free(2, 100)), 2)
	require.Equal(t, []int{2, 3}, []int{q.Offered(0).Messages, q.Offered(0).Bytes}, "what they were offered")
	q.Leave(all[0])
	q.Leave(all[1])
	require.Zero(t, q.Offered(0))
	q.Wait(all[1]) // it was not enough
	require.Equal(t, all[1:], slices.Collect(q.lines[Acknowledged].ranking.all()))
	q.Leave(all[3])
	require.Empty(t, q.Offer(nil, free(2, 1)))
	require.Len(t, q.Offer(nil, emptyQueue()), 1, "an empty queue takes any, once")
	require.Equal(t, []*Waiter{all[2], all[4]}, slices.Collect(q.lines[Acknowledged].ranking.all()))
}

func TestManyWhoWaitAreLookedAtInParts(t *testing.T) {
	var q Waiters
	var all []*Waiter
	for range 100_000 {
		w := &Waiter{Size: 90, Offer: make(chan struct{}, 1)}
		all = append(all, w)
		q.Wait(w)
	}
	small := &Waiter{Size: 10, Offer: make(chan struct{}, 1)}
	q.Wait(small)
	require.Empty(t, q.Offer(nil, free(10, 60)), "it is too far behind")
	for _, w := range all[lookPast-1:] {
		q.Leave(w)
	}
	require.Equal(t, []chan struct{}{small.Offer}, q.Offer(nil, free(10, 60)))
	require.Equal(t, lookPast-1, q.lines[Acknowledged].ranking.len())
	require.Len(t, q.Offer(nil, free(1000, 1<<20)), lookPast-1)
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

// Who waits for the limits of a class is not in the way of the other, however many there
// are and however often they are overtaken.
func TestAFullClassHoldsUpNoOther(t *testing.T) {
	var q Waiters
	waiter := func(c Class, size int) *Waiter {
		w := &Waiter{Class: c, Size: size, Offer: make(chan struct{}, 1)}
		q.Wait(w)
		return w
	}
	for range 2 * lookPast {
		waiter(AtMostOnce, 20)
	}
	narrow := func(messages, bytes int) *Free {
		f := free(10, 60)
		f.Class[AtMostOnce].Load = Load{messages, bytes}
		return f
	}
	for range 2 * mayPass {
		w := waiter(Acknowledged, 50)
		require.Equal(t, []chan struct{}{w.Offer}, q.Offer(nil, narrow(0, 60)))
		w = waiter(Acknowledged, 50)
		require.Equal(t, []chan struct{}{w.Offer}, q.Offer(nil, narrow(10, 10)))
	}
	last := waiter(Acknowledged, 20)
	require.Len(t, q.Offer(nil, narrow(1, 60)), 2, "one of each")
	require.True(t, last.offered)
	require.Equal(t, Load{1, 20}, q.Offered(AtMostOnce))
}

// The classes share what all have: a large message of one is not overtaken forever by
// the other, and the order of arrival counts.
func TestClassesShareTheQueueFairly(t *testing.T) {
	var q Waiters
	large := &Waiter{Class: AtMostOnce, Size: 90, Offer: make(chan struct{}, 1)}
	q.Wait(large)
	for i := 0; i <= mayPass; i++ {
		q.Wait(&Waiter{Size: 50, Offer: make(chan struct{}, 1)})
		if len(q.Offer(nil, free(10, 60))) == 0 {
			require.Equal(t, mayPass, i)
			break
		}
	}
	require.Equal(t, []chan struct{}{large.Offer}, q.Offer(nil, free(10, 100)))
	require.Len(t, q.Offer(nil, free(10, 60)), 1)
	require.False(t, q.Any())

	var order []*Waiter
	for i := range 10 {
		w := &Waiter{Class: Class(i % 2), Size: 1, Offer: make(chan struct{}, 1)}
		q.Wait(w)
		order = append(order, w)
	}
	for i, offer := range q.Offer(nil, free(7, 100)) {
		require.Equal(t, order[i].Offer, offer)
	}
	require.False(t, order[7].offered)
}

func TestAnEmptyClassTakesAMessageLargerThanItsLimit(t *testing.T) {
	var q Waiters
	w := &Waiter{Class: AtMostOnce, Size: 50, Offer: make(chan struct{}, 1)}
	q.Wait(w)
	f := &Free{All: Room{Load: Load{5, 60}}, Class: [classes]Room{{}, Load{1, 10}.Left(Load{1, 5})}}
	require.Empty(t, q.Offer(nil, f))
	f.Class[AtMostOnce] = Load{1, 10}.Left(Load{})
	require.Len(t, q.Offer(nil, f), 1)
}
