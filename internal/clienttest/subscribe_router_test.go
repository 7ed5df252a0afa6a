package clienttest

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestOverlappingFiltersDeliverOncePerSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		a := Subscribe(t, client, conn, "a/+", 1)
		b := Subscribe(t, client, conn, "a/#", 1)
		c := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("a/b", "+/b", "x")})
		// As one message with all identifiers.
		conn.Send(To("a/b", IDs(Pub(1, 1, "one"), 1, 2, 3)))
		WantMessages(t, a, "one")
		WantMessages(t, b, "one")
		WantMessages(t, c, "one")
		conn.Want(Puback(1))
		// As one message for each.
		conn.Send(To("a/b", IDs(Pub(2, 1, "each"), 1)), To("a/b", IDs(Pub(3, 1, "each"), 2)), To("a/b", IDs(Pub(4, 1, "each"), 3)))
		WantMessages(t, a, "each")
		WantMessages(t, b, "each")
		WantMessages(t, c, "each")
		conn.Want(Puback(2), Puback(3), Puback(4))
		// To only one of them, although it matches all.
		conn.Send(To("a/b", IDs(Pub(0, 0, "two"), 2)))
		WantMessages(t, a)
		WantMessages(t, b, "two")
		WantMessages(t, c)
	})
}

func TestWithoutIdentifiersTheFiltersDecide(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		ack := &wire.Connack{}
		if v == wire.V5 {
			ack.SubscriptionIDAvailable = new(false)
		}
		client, conn := OpenWith(t, srv, Quiet(srv), ack)
		a := Subscribe(t, client, conn, "a/+", 1)
		b := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("a/b", "a/#")})
		c := Subscribe(t, client, conn, "#", 1)
		conn.Send(To("a/b", Pub(1, 1, "1")), To("c", Pub(0, 0, "2")), To("$SYS/x", Pub(0, 0, "3")))
		WantMessages(t, a, "1")
		WantMessages(t, b, "1")
		WantMessages(t, c, "1", "2")
		require.Equal(t, uint64(1), client.Stats().Unclaimed, "# does not match $SYS")
	})
}

func TestSharedMessageIsAcknowledgedByTheLastConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		a, b := Subscribe(t, client, conn, "t", 1), Subscribe(t, client, conn, "#", 1)
		conn.Send(IDs(Pub(1, 1, "x"), 1, 2))
		Next(t, a)
		conn.WantIdle()
		Next(t, b)
		conn.Want(Puback(1))
	})
}

func TestUnknownIdentifierFallsBackToTheFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(IDs(Pub(0, 0, "x"), 4711))
		WantMessages(t, sub, "x")
	})
}

func TestTwoSubscriptionsOnOneFilterShareItAtTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		one := Subscribe(t, client, conn, "t", 2)
		var two *mqtt.Subscription
		b := Begin(func() (err error) {
			two, err = client.Subscribe(t.Context(), "t", 0)
			return err
		})
		p := Grant(conn)
		require.Equal(t, mqtt.QoS(2), p.Filters[0].QoS, "the first one needs it")
		require.NoError(t, b.Wait())

		retained := IDs(Pub(0, 0, "retained"), p.SubscriptionID)
		retained.Retain = true
		conn.Send(retained)
		WantMessages(t, two, "retained")
		WantMessages(t, one)
		conn.Send(IDs(Pub(0, 0, "live"), p.SubscriptionID))
		WantMessages(t, one, "live")
		WantMessages(t, two, "live")

		require.NoError(t, two.Unsubscribe(t.Context()))
		conn.WantIdle()
		conn.Send(IDs(Pub(0, 0, "more"), p.SubscriptionID))
		WantMessages(t, one, "more")
		end := Begin(func() error { return one.Unsubscribe(t.Context()) })
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, []string{"t"}, u.Filters)
		conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.Wait())
		conn.Send(IDs(Pub(0, 0, "late"), p.SubscriptionID))
		synctest.Wait()
		require.Equal(t, uint64(1), client.Stats().Unclaimed)
	})
}

func TestSharedFilterMatchesWithoutItsGroup(t *testing.T) {
	for _, withIDs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{SubscriptionIDAvailable: &withIDs})
			sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("$share/g/a/+", "other")})
			p := To("a/b", Pub(1, 1, "x"))
			if withIDs {
				IDs(p, 1)
			}
			conn.Send(p)
			WantMessages(t, sub, "x")
			conn.Want(Puback(1))
		})
	}
}

func TestDollarTopicsFollowTheirFilters(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		all := Subscribe(t, client, conn, "+/x", 0)
		sys := Subscribe(t, client, conn, "$SYS/#", 0)
		conn.Send(To("$SYS/x", Pub(0, 0, "s")), To("a/x", Pub(0, 0, "a")))
		WantMessages(t, all, "a")
		WantMessages(t, sys, "s")
	})
}

func TestManyShortSubscriptionsOnOneFilterLeaveTheLongOneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		long := Subscribe(t, client, conn, "t", 1)
		for range 100 {
			short := Subscribe(t, client, conn, "t", 1)
			require.NoError(t, short.Unsubscribe(t.Context()))
		}
		conn.Send(IDs(Pub(1, 1, "x"), 101))
		WantMessages(t, long, "x")
	})
}

func TestMessagesOfAnEarlierProcessWaitForTheirSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Resume = true
		client, conn := OpenWith(t, srv, cfg, Resumed())
		conn.Send(Pub(1, 1, "1"), IDs(Pub(2, 2, "2"), 4711), To("x", Pub(3, 1, "x")), Pub(0, 0, "not worth waiting for"))
		conn.WantIdle()
		sub := Subscribe(t, client, conn, "t", 2)
		WantMessages(t, sub, "1", "2")
		conn.Want(Puback(1), Pubrec(2))
		end := Begin(func() error { return client.Unsubscribe(t.Context(), "x") })
		conn.Want(Puback(3))
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.Wait())
		// Nobody will come for it now.
		conn.Send(To("x", Pub(4, 1, "x")))
		conn.Want(Puback(4))
		require.Equal(t, uint64(2), client.Stats().Unclaimed)
	})
}

// An earlier process may have given an identifier of this one to another filter.
func TestIdentifierOfAnEarlierProcessDoesNotDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Resume = true
		client, conn := OpenWith(t, srv, cfg, Resumed())
		subscribe := func(filter string) (sub *mqtt.Subscription, id uint32) {
			end := Begin(func() (err error) {
				sub, err = client.Subscribe(t.Context(), filter, 1)
				return err
			})
			p := mqtttest.Take[*wire.Subscribe](conn)
			conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{1}})
			require.NoError(t, end.Wait())
			return sub, p.SubscriptionID
		}
		here, ours := subscribe("t")
		there, _ := subscribe("u")
		conn.Send(IDs(Pub(1, 1, "of t"), ours), IDs(To("u", Pub(2, 1, "of u")), ours), IDs(Pub(3, 1, "of t again"), ours))
		WantMessages(t, here, "of t", "of t again")
		WantMessages(t, there, "of u")
	})
}

func TestUnclaimedMessagesAreBounded(t *testing.T) {
	for hold, waiting := range map[int]int{2: 2, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			cfg.Resume = true
			cfg.HoldUnclaimed = hold
			client, conn := OpenWith(t, srv, cfg, Resumed())
			for i := range 5 {
				conn.Send(Pub(uint16(i+1), 1, "x"))
			}
			synctest.Wait()
			require.Equal(t, uint64(5-waiting), client.Stats().Unclaimed)
			sub := subscribe1(t, client, conn, waiting)
			for range waiting {
				Next(t, sub)
			}
			for i := range 5 {
				if waiting > 0 {
					conn.Want(Puback(uint16(i + 1)))
				}
			}
			conn.WantIdle()
		})
	}
}

// subscribe1 subscribes to t, behind the acknowledgements of what did not wait.
func subscribe1(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn, waiting int) *mqtt.Subscription {
	t.Helper()
	if waiting == 0 {
		for i := range 5 {
			conn.Want(Puback(uint16(i + 1)))
		}
	}
	return Subscribe(t, client, conn, "t", 1)
}

func TestUnclaimedMessagesOfAFreshSessionAreAcknowledgedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		conn.Send(Pub(1, 1, "x"), Pub(2, 2, "x"), Pub(0, 0, "x"))
		conn.Want(Puback(1), Pubrec(2))
		synctest.Wait()
		require.Equal(t, uint64(3), client.Stats().Unclaimed)
	})
}

func TestReceivedQoS2IsDeliveredOnceAcrossAReconnect(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.Resume = true
		client, conn := Open(t, srv, cfg)
		sub := Subscribe(t, client, conn, "t", 2)
		conn.Send(Pub(1, 2, "once"))
		WantMessages(t, sub, "once")
		conn.Want(Pubrec(1))
		conn.Close()
		conn = srv.Connected(Resumed())
		if v != wire.V311 {
			Renewed(t, conn)
		}
		conn.Send(Dup(1, 2, "once"))
		conn.Want(Pubrec(1))
		conn.Send(Pubrel(1))
		conn.Want(Pubcomp(1))
		conn.Send(Pub(1, 2, "another"))
		WantMessages(t, sub, "another")
	})
}
