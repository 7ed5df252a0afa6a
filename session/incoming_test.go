package session

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIncomingTableAgainstAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, identifiers := range []int{3, 40, 3000, 65536} {
		var table incomingTable
		model := map[uint16]*incoming{}
		for range 20_000 {
			// Few homes, so that entries have to make way for each other.
			id := uint16(random.IntN(identifiers) * 13 &^ 0x30)
			switch in := model[id]; {
			case in != nil && random.IntN(2) == 0:
				table.remove(in)
				delete(model, id)
			case in == nil:
				model[id] = &incoming{id: id}
				table.put(model[id])
			}
			require.Equal(t, len(model), table.len)
			require.Same(t, model[id], table.get(id))
		}
		found := 0
		for in := range table.all {
			require.Same(t, model[in.id], in)
			found++
		}
		require.Equal(t, len(model), found)
		for id, in := range model {
			require.Same(t, in, table.get(id))
			table.remove(in)
			require.Nil(t, table.get(id))
		}
		require.Zero(t, table.len)
	}
}
