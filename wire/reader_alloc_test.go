//go:build !race

// With the race detector a pool loses some of what it is given.

package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuffersOfLargePacketsAreUsedAgain(t *testing.T) {
	const packets, size = 100, 1 << 20
	sent := largeOnes(t, packets, size)
	for _, detached := range []bool{false, true} {
		spent := allocated(func() {
			r := NewReader(&pieces{b: sent, sizes: []int{1024, 100_000, 64 << 10}}, V311, 0)
			for range packets {
				_, body, err := r.ReadPacket()
				require.NoError(t, err)
				require.GreaterOrEqual(t, len(body), size)
				if detached {
					b, ok := r.Detach()
					require.True(t, ok)
					b.Release()
				}
			}
		})
		require.Less(t, spent, uint64(packets*size/2)) // a collection may empty the pool now and then
	}
}
