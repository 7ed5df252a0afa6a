package clienttest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// names are filters that do not overlap.
func names(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("t/%d", i))
	}
	return list
}

// splitting is a client that puts at most two filters in a packet.
func splitting(t *testing.T, srv *mqtttest.Server) (*mqtt.Client, *mqtttest.Conn) {
	t.Helper()
	cfg := Quiet(srv)
	cfg.FiltersPerSubscribe = 2
	return Open(t, srv, cfg)
}

// takeSubscribes takes n SUBSCRIBEs, which have to name want.
func takeSubscribes(t *testing.T, conn *mqtttest.Conn, n int, want []string) (list []*wire.Subscribe) {
	t.Helper()
	var got []string
	for range n {
		p := mqtttest.Take[*wire.Subscribe](conn)
		list = append(list, p)
		for _, f := range p.Filters {
			got = append(got, f.Filter)
		}
	}
	require.Equal(t, want, got)
	return list
}

func TestManyFiltersTakeSeveralPackets(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := splitting(t, srv)
		s := BeginSubscribe(t.Context(), client, Filters(names(5)...)...)
		list := takeSubscribes(t, conn, 3, names(5))
		require.Equal(t, list[0].SubscriptionID, list[2].SubscriptionID)
		// The answers may come in any order, Granted keeps that of the filters.
		ack := func(i int, codes ...wire.ReasonCode) {
			conn.Send(&wire.Suback{PacketID: list[i].PacketID, ReasonCodes: codes})
		}
		ack(2, 0)
		ack(0, 2, 1)
		require.False(t, s.Over())
		ack(1, 1, 0)
		require.NoError(t, s.Wait())
		require.Equal(t, []mqtt.ReasonCode{2, 1, 1, 0, 0}, s.Sub.Granted())
		conn.Send(To("t/4", Pub(0, 0, "x")))
		WantMessages(t, s.Sub, "x")

		end := Begin(func() error { return s.Sub.Unsubscribe(t.Context()) })
		var ended []string
		for range 3 {
			p := mqtttest.Take[*wire.Unsubscribe](conn)
			ended = append(ended, p.Filters...)
			require.False(t, end.Over())
			codes := make([]wire.ReasonCode, len(p.Filters))
			if v < wire.V5 {
				codes = nil
			}
			conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: codes})
		}
		require.Equal(t, names(5), ended)
		require.NoError(t, end.Wait())
	})
}

func TestPacketsAreAsLargeAsTheServerAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{MaximumPacketSize: 200})
		var list []string
		for i := range 8 {
			list = append(list, fmt.Sprint(i, strings.Repeat("x", 60)))
		}
		s := BeginSubscribe(t.Context(), client, Filters(list...)...)
		for _, p := range takeSubscribes(t, conn, 4, list[:8]) { // not 3: 64 bytes each
			require.LessOrEqual(t, p.Size(wire.V5), 200)
			conn.Send(Suback(p))
		}
		require.NoError(t, s.Wait())
	})
}

func TestPartlyRefusedInSeveralPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := splitting(t, srv)
		s := BeginSubscribe(t.Context(), client, Filters(names(4)...)...)
		list := takeSubscribes(t, conn, 2, names(4))
		conn.Send(&wire.Suback{PacketID: list[1].PacketID, ReasonCodes: []wire.ReasonCode{wire.QuotaExceeded, wire.QuotaExceeded}, ReasonString: "late"},
			&wire.Suback{PacketID: list[0].PacketID, ReasonCodes: []wire.ReasonCode{2, wire.NotAuthorized}, ReasonString: "early"})
		err := s.Wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized, "the first of the filters")
		require.ErrorContains(t, err, `"t/1"`)
		require.ErrorContains(t, err, "early")
		require.NotNil(t, s.Sub)
		require.Equal(t, []mqtt.ReasonCode{2, mqtt.NotAuthorized, mqtt.QuotaExceeded, mqtt.QuotaExceeded}, s.Sub.Granted())
	})
}

func TestOnlyUnansweredFiltersAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311) // 5.0 repeats all
		cfg := Quiet(srv)
		cfg.FiltersPerSubscribe, cfg.Resume = 2, true
		client, conn := Open(t, srv, cfg)
		s := BeginSubscribe(t.Context(), client, Filters(names(6)...)...)
		list := takeSubscribes(t, conn, 3, names(6))
		conn.Send(Suback(list[1]))
		synctest.Wait()
		conn.Close()
		conn = srv.Connected(Resumed())
		list = takeSubscribes(t, conn, 2, []string{"t/0", "t/1", "t/4", "t/5"})
		conn.Send(Suback(list[0]))
		synctest.Wait()
		conn.Close()
		// The server has lost the session, and the answers with it.
		conn = srv.Connected(&wire.Connack{})
		for _, p := range takeSubscribes(t, conn, 3, names(6)) {
			require.False(t, s.Over())
			conn.Send(Suback(p))
		}
		require.NoError(t, s.Wait())
		// Likewise when it is renewed, before anything is published.
		conn.Close()
		synctest.Wait()
		d := PublishAsync(t, client, "x", 0)
		conn = srv.Connected(&wire.Connack{})
		for _, p := range takeSubscribes(t, conn, 3, names(6)) {
			conn.Send(Suback(p))
		}
		conn.Want(Pub(0, 0, "x"))
		require.True(t, Settled(d))
	})
}

func TestNothingIsSentWhenOneFilterCanNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.FiltersPerSubscribe = 1
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{WildcardSubscriptionAvailable: new(false)})
		s := BeginSubscribe(t.Context(), client, Filters("a", "b/#")...)
		err := s.Wait()
		require.ErrorIs(t, err, mqtt.WildcardSubscriptionsNotSupported)
		require.True(t, mqtt.NotSent(err))
		conn.WantIdle()
	})
}

// A Subscription that cannot be completed on a later connection leaves nothing
// behind of what an earlier one has granted.
func TestSubscriptionThatMeetsANewLimitIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := splitting(t, srv)
		s := BeginSubscribe(t.Context(), client, Filters("a", "b", "c/#")...)
		list := takeSubscribes(t, conn, 2, []string{"a", "b", "c/#"})
		conn.Send(Suback(list[0]))
		synctest.Wait()
		conn.Close()
		ack := Resumed()
		ack.WildcardSubscriptionAvailable = new(false)
		conn = srv.Connected(ack)
		err := s.Wait()
		require.ErrorIs(t, err, mqtt.WildcardSubscriptionsNotSupported)
		require.False(t, mqtt.NotSent(err))
		require.Equal(t, []string{"a", "b"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
		require.Equal(t, []string{"c/#"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
	})
}

func TestUnsubscribeInSeveralPacketsReportsTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := splitting(t, srv)
		u := Begin(func() error { return client.Unsubscribe(t.Context(), names(4)...) })
		first := mqtttest.Take[*wire.Unsubscribe](conn)
		mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: first.PacketID, ReasonCodes: []wire.ReasonCode{0, wire.NotAuthorized}})
		require.False(t, u.Over())
		conn.Close() // and the other answer is lost
		conn = srv.Connected(Resumed())
		second := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, names(4)[2:], second.Filters)
		conn.Send(&wire.Unsuback{PacketID: second.PacketID, ReasonCodes: []wire.ReasonCode{0, wire.UnspecifiedError}})
		err := u.Wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.ErrorContains(t, err, `"t/1"`)
	})
}
