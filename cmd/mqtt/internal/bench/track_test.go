package bench

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Beside a set of all numbers that came, which is right and large.
func TestTrackAgreesWithASet(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		const sent = 200
		var arrivals []uint64
		for n := range uint64(sent) {
			switch random.IntN(10) {
			case 0: // lost
			case 1:
				arrivals = append(arrivals, n, n)
			default:
				arrivals = append(arrivals, n)
			}
		}
		for range random.IntN(100) { // some change places with others not far away
			i := random.IntN(len(arrivals))
			j := min(i+random.IntN(20), len(arrivals)-1)
			arrivals[i], arrivals[j] = arrivals[j], arrivals[i]
		}
		var failed []uint64
		for n := range uint64(sent) {
			if random.IntN(20) == 0 {
				failed = append(failed, n)
			}
		}

		var tr track
		seen := map[uint64]bool{}
		highest := -1
		for _, n := range arrivals {
			want := fresh
			switch {
			case seen[n]:
				want = duplicate
			case int(n) < highest:
				want = late
			}
			require.Equal(t, want, tr.take(n), "number %d with seed %d", n, seed)
			seen[n] = true
			highest = max(highest, int(n))
		}
		var lost uint64
		for n := range uint64(sent) {
			if !seen[n] && !slices.Contains(failed, n) {
				lost++
			}
		}
		require.Equal(t, lost, tr.lost(sent, failed), "seed %d", seed)
	}
}

func TestTrackForgetsTheOldestGapsOnly(t *testing.T) {
	var tr track
	const gaps = maxSpans + 1000
	for n := range uint64(gaps) {
		tr.take(2*n + 1)
	}
	require.LessOrEqual(t, len(tr.missing), maxSpans)
	require.Equal(t, uint64(gaps), tr.lost(2*gaps, nil))
	require.Equal(t, late, tr.take(2*gaps-2))
	require.Equal(t, uint64(gaps-1), tr.lost(2*gaps, nil))
}
