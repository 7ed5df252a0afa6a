package session

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestSplitKeepsEveryPacketWithinTheLimit(t *testing.T) {
	p := &wire.Subscribe{SubscriptionID: 300, UserProperties: []wire.UserProperty{{Name: "a", Value: "b"}}}
	u := new(wire.Unsubscribe)
	for i := range 300 {
		filter := fmt.Sprintf("plant/%d/%s", i, strings.Repeat("x", i%40))
		p.Filters = append(p.Filters, wire.SubscribeFilter{Filter: filter, QoS: 1})
		u.Filters = append(u.Filters, filter)
	}
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		for _, limit := range []uint32{100, 127, 128, 129, 130, 300, 1000, 20_000, 0} {
			for _, most := range []int{0, 1, 8} {
				p := *p
				if v < wire.V5 {
					p.SubscriptionID, p.UserProperties = 0, nil
				}
				l := Limits{MaximumPacketSize: limit}
				var filters []wire.SubscribeFilter
				for _, part := range l.SplitSubscribe(&p, v, most) {
					part.PacketID = 1
					require.NoError(t, l.checkSize(part.Size(v)))
					require.Equal(t, p.SubscriptionID, part.SubscriptionID)
					require.Equal(t, p.UserProperties, part.UserProperties)
					require.True(t, most == 0 || len(part.Filters) <= most)
					filters = append(filters, part.Filters...)
				}
				require.Equal(t, p.Filters, filters)
				var ended []string
				for _, part := range l.SplitUnsubscribe(u, v, most) {
					part.PacketID = 1
					require.NoError(t, l.checkSize(part.Size(v)))
					ended = append(ended, part.Filters...)
				}
				require.Equal(t, u.Filters, ended)
			}
		}
	}
}

func TestSplitTakesAsFewPacketsAsItCan(t *testing.T) {
	p := &wire.Subscribe{Filters: []wire.SubscribeFilter{{Filter: "a"}, {Filter: "b"}, {Filter: "c"}, {Filter: "d"}, {Filter: "e"}}}
	require.Len(t, (&Limits{}).SplitSubscribe(p, wire.V5, 0), 1)
	require.Len(t, (&Limits{}).SplitSubscribe(p, wire.V5, 5), 1)
	require.Len(t, (&Limits{}).SplitSubscribe(p, wire.V5, 4), 2)
	// 5 bytes of head, up to 3 more of length, 4 per filter.
	require.Len(t, (&Limits{MaximumPacketSize: 8 + 8}).SplitSubscribe(p, wire.V5, 0), 3)
	require.Len(t, (&Limits{MaximumPacketSize: 3}).SplitSubscribe(p, wire.V5, 0), 5, "too large, each alone")
}

func TestCheckSaysWhatRequestWouldSay(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	require.ErrorIs(t, s.c.Check(subscribe("a")), ErrNotConnected)
	s.up(keeping(wire.V5), &wire.Connack{MaximumPacketSize: 40, WildcardSubscriptionAvailable: new(false)})
	for _, r := range []*Request{
		{}, subscribe("a"), subscribe("a/#"), subscribe(strings.Repeat("x", 40)),
		unsubscribe("a"), unsubscribe(strings.Repeat("x", 40)),
		{Subscribe: &wire.Subscribe{Filters: []wire.SubscribeFilter{{Filter: "a", QoS: 3}}}},
	} {
		checked := s.c.Check(r)
		s.wantIdle()
		require.Equal(t, s.c.Request(r), checked)
		s.skip()
	}
}
