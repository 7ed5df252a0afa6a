package mqtt

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

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
