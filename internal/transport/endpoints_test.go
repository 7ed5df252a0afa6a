package transport

import (
	"math/rand/v2"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 2782
func TestSRVRecordsAreDrawnByWeight(t *testing.T) {
	records := []*net.SRV{
		{Target: "backup", Priority: 2, Weight: 1000},
		{Target: "heavy", Priority: 1, Weight: 60},
		{Target: "zero", Priority: 1, Weight: 0},
		{Target: "light", Priority: 1, Weight: 20},
		{Target: "medium", Priority: 1, Weight: 20},
	}
	random := rand.New(rand.NewPCG(1, 2))
	const rounds = 40_000
	first, second := map[string]int{}, map[string]int{}
	for range rounds {
		ordered := orderRecords(records, random.IntN)
		require.Len(t, ordered, 5)
		require.Equal(t, "backup", ordered[4].Target)
		first[ordered[0].Target]++
		second[ordered[1].Target]++
	}
	// Drawn from 0 to 100 inclusive, of which only 0 falls to the one without weight.
	for target, weight := range map[string]float64{"heavy": 60, "light": 20, "medium": 20, "zero": 1} {
		require.InDelta(t, rounds*weight/101, first[target], 600, target)
	}
	require.Equal(t, "backup", records[0].Target, "what was given is left alone")
	require.Greater(t, second["light"], second["zero"])
}
