package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// A server that has every packet identifier in use is asked a bounded number of times.
func TestAServerThatIsAlwaysBusyRefuses(t *testing.T) {
	w := newSubscriptionWorld(1)
	w.v = wire.V5
	require.NoError(t, w.connect(true))
	in := &Interest{Filters: []wire.SubscribeFilter{{Filter: "a"}}}
	w.c.Subscriptions.Add(in)
	w.busy = 100
	requests := 0
	for len(w.answered) == 0 {
		require.NoError(t, w.serve(1))
		requests += len(w.toSend)
		require.NoError(t, w.answer(1))
	}
	require.Equal(t, maxBusy+1, requests)
	require.True(t, w.refused[in]["a"])
	require.NoError(t, w.bounded())
}
