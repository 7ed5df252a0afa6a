package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// takeAll takes n at a time until nothing more is to be had, and returns the sum.
func takeAll(h *holder, n int) (sum int) {
	for h.take(n) {
		sum += n
	}
	return sum
}

func TestQuotaLeavesSomethingForThoseWhoComeLater(t *testing.T) {
	const limit = 1 << 20
	q := newQuota(limit)
	require.Equal(t, limit*3/5, takeAll(q.join("first"), 1))
	for i := range 63 {
		require.GreaterOrEqual(t, takeAll(q.join(fmt.Sprint(i)), 1), limit/modestPart, i)
	}
	require.LessOrEqual(t, q.used.Load(), q.limit)
}

func TestQuotaIsGivenBack(t *testing.T) {
	q := newQuota(10_000)
	greedy, modest := q.join("greedy"), q.join("modest")
	had := takeAll(greedy, 100)
	require.False(t, modest.take(6000))
	greedy.give(had)
	require.True(t, modest.take(6000))
	modest.give(6000)
	require.Zero(t, q.used.Load())
	greedy.leave()
	require.Same(t, modest, q.join("modest"))
	modest.leave()
	modest.leave()
	require.Empty(t, q.holders)
}

// TestQuotaHoldsUnderEveryOrder takes and gives back at random: the limit holds, and
// nobody has more than its share of what was free when it took.
func TestQuotaHoldsUnderEveryOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	q := newQuota(5000)
	holders := make([]*holder, 7)
	have := make([]int, len(holders))
	for i := range holders {
		holders[i] = q.join(fmt.Sprint(i))
	}
	for range 100_000 {
		i, n := rng.IntN(len(holders)), 1+rng.IntN(300)
		if rng.IntN(2) == 0 && have[i] >= n {
			holders[i].give(n)
			have[i] -= n
		} else if holders[i].take(n) {
			have[i] += n
			modest := int64(have[i]) <= q.limit/modestPart
			require.True(t, modest || int64(have[i]) <= holderShare*(q.limit-q.limit/4-q.used.Load()))
		}
		sum := 0
		for _, n := range have {
			sum += n
		}
		require.Equal(t, int64(sum), q.used.Load())
		require.LessOrEqual(t, sum, 5000)
	}
}

func TestNobodyHasNoQuota(t *testing.T) {
	var h *holder
	require.True(t, h.take(1<<40))
	h.give(1)
	h.leave()
}
