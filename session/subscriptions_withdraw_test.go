package session

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// A filter that was withdrawn is ended on this connection or the next, and is not asked
// for again although its interest lives.
func TestWithdrawnFiltersStayAway(t *testing.T) {
	for seed := range uint64(40) {
		w := newSubscriptionWorld(seed)
		w.servers = w.servers[:1]
		server := w.servers[0]
		exchange := func() {
			t.Helper()
			for range 3 {
				require.NoError(t, w.serve(100))
				require.NoError(t, w.answer(100))
			}
		}
		require.NoError(t, w.connect(true))
		first := &Interest{Filters: []wire.SubscribeFilter{{Filter: "a"}, {Filter: "b"}}, SubscriptionIDs: []uint32{1, 2}}
		second := &Interest{Filters: []wire.SubscribeFilter{{Filter: "a"}}, SubscriptionIDs: []uint32{1}}
		w.c.Subscriptions.Add(first)
		w.c.Subscriptions.Add(second)
		exchange()
		require.Len(t, server.filters, 2)
		if seed%3 == 0 { // it does not reach the server
			w.lose()
		}
		require.Nil(t, w.c.Subscriptions.Withdraw(nil))
		leave := w.c.Subscriptions.Withdraw([]string{"a", "unknown"})
		if seed%3 == 1 { // nor does this
			w.lose()
		}
		require.False(t, leave.Over())
		require.NoError(t, w.connect(true))
		exchange()
		require.True(t, leave.Over())
		require.Nil(t, w.c.Subscriptions.Withdraw([]string{"a"}))
		for range 3 {
			require.Contains(t, server.filters, "b")
			require.NotContains(t, server.filters, "a")
			w.lose()
			require.NoError(t, w.connect(true))
			exchange()
		}
		w.c.Subscriptions.Fail(io.EOF)
		require.Nil(t, w.c.Subscriptions.Withdraw([]string{"b"}))
	}
}
