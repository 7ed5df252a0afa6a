package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestOneFilterServesAllWhoWantIt(t *testing.T) {
	s := connectedScript(t, wire.V5)
	wants := []wire.SubscribeFilter{
		{Filter: "a", QoS: 1}, {Filter: "a", QoS: 2}, {Filter: "a", RetainAsPublished: true},
	}
	var all []*Interest
	for _, f := range wants {
		in := &Interest{Filters: []wire.SubscribeFilter{f}}
		all = append(all, in)
		s.c.Subscriptions.Add(in)
	}
	f := s.c.Subscriptions.filters["a"]
	require.Equal(t, wire.SubscribeFilter{Filter: "a", QoS: 2, RetainAsPublished: true}, f.merged())
	s.c.Subscriptions.Remove(all[1], false)
	require.Equal(t, wire.SubscribeFilter{Filter: "a", QoS: 1, RetainAsPublished: true}, f.merged())
	s.c.Subscriptions.Remove(all[2], false)
	require.Equal(t, wire.SubscribeFilter{Filter: "a", QoS: 1}, f.merged())
	s.c.Subscriptions.Remove(all[0], false)
	require.False(t, f.wanted())
	require.Equal(t, tally{}, f.tally)
}

func TestFiltersThatAreGoneAreForgottenWithoutAConnection(t *testing.T) {
	s := connectedScript(t, wire.V5)
	subs := s.c.Subscriptions
	kept := &Interest{Filters: []wire.SubscribeFilter{{Filter: "kept"}}}
	subs.Add(kept)
	s.lose()
	subs.Remove(kept, false) // the server may have it
	for i := range 100 {
		in := &Interest{Filters: []wire.SubscribeFilter{{Filter: fmt.Sprint(i)}}}
		subs.Add(in)
		require.Nil(t, subs.Remove(in, false))
	}
	require.Len(t, subs.filters, 1)
	require.Len(t, subs.changed, 1)
}
