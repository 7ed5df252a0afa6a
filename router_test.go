package mqtt_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestOverlappingFiltersDeliverOncePerSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		a := subscribe(t, client, conn, "a/+", 1)
		b := subscribe(t, client, conn, "a/#", 1)
		c := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("a/b", "+/b", "x")})
		// As one message with all identifiers.
		conn.Send(to("a/b", ids(pub(1, 1, "one"), 1, 2, 3)))
		wantMessages(t, a, "one")
		wantMessages(t, b, "one")
		wantMessages(t, c, "one")
		conn.Want(puback(1))
		// As one message for each.
		conn.Send(to("a/b", ids(pub(2, 1, "each"), 1)), to("a/b", ids(pub(3, 1, "each"), 2)), to("a/b", ids(pub(4, 1, "each"), 3)))
		wantMessages(t, a, "each")
		wantMessages(t, b, "each")
		wantMessages(t, c, "each")
		conn.Want(puback(2), puback(3), puback(4))
		// To only one of them, although it matches all.
		conn.Send(to("a/b", ids(pub(0, 0, "two"), 2)))
		wantMessages(t, a)
		wantMessages(t, b, "two")
		wantMessages(t, c)
	})
}

func TestWithoutIdentifiersTheFiltersDecide(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		ack := &wire.Connack{}
		if v == wire.V5 {
			ack.SubscriptionIDAvailable = new(false)
		}
		client, conn := openWith(t, srv, quiet(srv), ack)
		a := subscribe(t, client, conn, "a/+", 1)
		b := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("a/b", "a/#")})
		c := subscribe(t, client, conn, "#", 1)
		conn.Send(to("a/b", pub(1, 1, "1")), to("c", pub(0, 0, "2")), to("$SYS/x", pub(0, 0, "3")))
		wantMessages(t, a, "1")
		wantMessages(t, b, "1")
		wantMessages(t, c, "1", "2")
		require.Equal(t, uint64(1), client.Stats().Unclaimed, "# does not match $SYS")
	})
}

func TestSharedMessageIsAcknowledgedByTheLastConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		a, b := subscribe(t, client, conn, "t", 1), subscribe(t, client, conn, "#", 1)
		conn.Send(ids(pub(1, 1, "x"), 1, 2))
		next(t, a)
		conn.WantIdle()
		next(t, b)
		conn.Want(puback(1))
	})
}

func TestUnknownIdentifierFallsBackToTheFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 1)
		conn.Send(ids(pub(0, 0, "x"), 4711))
		wantMessages(t, sub, "x")
	})
}

func TestTwoSubscriptionsOnOneFilterShareItAtTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		one := subscribe(t, client, conn, "t", 2)
		var two *mqtt.Subscription
		b := begin(func() (err error) {
			two, err = client.Subscribe(t.Context(), "t", 0)
			return err
		})
		p := grant(conn)
		require.Equal(t, mqtt.QoS(2), p.Filters[0].QoS, "the first one needs it")
		require.NoError(t, b.wait())

		retained := ids(pub(0, 0, "retained"), p.SubscriptionID)
		retained.Retain = true
		conn.Send(retained)
		wantMessages(t, two, "retained")
		wantMessages(t, one)
		conn.Send(ids(pub(0, 0, "live"), p.SubscriptionID))
		wantMessages(t, one, "live")
		wantMessages(t, two, "live")

		require.NoError(t, two.Unsubscribe(t.Context()))
		conn.WantIdle()
		conn.Send(ids(pub(0, 0, "more"), p.SubscriptionID))
		wantMessages(t, one, "more")
		end := begin(func() error { return one.Unsubscribe(t.Context()) })
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, []string{"t"}, u.Filters)
		conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.wait())
		conn.Send(ids(pub(0, 0, "late"), p.SubscriptionID))
		synctest.Wait()
		require.Equal(t, uint64(1), client.Stats().Unclaimed)
	})
}

func TestSharedFilterMatchesWithoutItsGroup(t *testing.T) {
	for _, withIDs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := openWith(t, srv, quiet(srv), &wire.Connack{SubscriptionIDAvailable: &withIDs})
			sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("$share/g/a/+", "other")})
			p := to("a/b", pub(1, 1, "x"))
			if withIDs {
				ids(p, 1)
			}
			conn.Send(p)
			wantMessages(t, sub, "x")
			conn.Want(puback(1))
		})
	}
}

func TestDollarTopicsFollowTheirFilters(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		all := subscribe(t, client, conn, "+/x", 0)
		sys := subscribe(t, client, conn, "$SYS/#", 0)
		conn.Send(to("$SYS/x", pub(0, 0, "s")), to("a/x", pub(0, 0, "a")))
		wantMessages(t, all, "a")
		wantMessages(t, sys, "s")
	})
}

func TestManyShortSubscriptionsOnOneFilterLeaveTheLongOneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		long := subscribe(t, client, conn, "t", 1)
		for range 100 {
			short := subscribe(t, client, conn, "t", 1)
			require.NoError(t, short.Unsubscribe(t.Context()))
		}
		conn.Send(ids(pub(1, 1, "x"), 101))
		wantMessages(t, long, "x")
	})
}

func TestMessagesOfAnEarlierProcessWaitForTheirSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.Resume = true
		client, conn := openWith(t, srv, cfg, resumed())
		conn.Send(pub(1, 1, "1"), ids(pub(2, 2, "2"), 4711), to("x", pub(3, 1, "x")), pub(0, 0, "not worth waiting for"))
		conn.WantIdle()
		sub := subscribe(t, client, conn, "t", 2)
		wantMessages(t, sub, "1", "2")
		conn.Want(puback(1), pubrec(2))
		end := begin(func() error { return client.Unsubscribe(t.Context(), "x") })
		conn.Want(puback(3))
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.wait())
		// Nobody will come for it now.
		conn.Send(to("x", pub(4, 1, "x")))
		conn.Want(puback(4))
		require.Equal(t, uint64(2), client.Stats().Unclaimed)
	})
}

func TestUnclaimedMessagesAreBounded(t *testing.T) {
	for hold, waiting := range map[int]int{2: 2, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := quiet(srv)
			cfg.Resume = true
			cfg.HoldUnclaimed = hold
			client, conn := openWith(t, srv, cfg, resumed())
			for i := range 5 {
				conn.Send(pub(uint16(i+1), 1, "x"))
			}
			synctest.Wait()
			require.Equal(t, uint64(5-waiting), client.Stats().Unclaimed)
			sub := subscribe1(t, client, conn, waiting)
			for range waiting {
				next(t, sub)
			}
			for i := range 5 {
				if waiting > 0 {
					conn.Want(puback(uint16(i + 1)))
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
			conn.Want(puback(uint16(i + 1)))
		}
	}
	return subscribe(t, client, conn, "t", 1)
}

func TestUnclaimedMessagesOfAFreshSessionAreAcknowledgedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		conn.Send(pub(1, 1, "x"), pub(2, 2, "x"), pub(0, 0, "x"))
		conn.Want(puback(1), pubrec(2))
		synctest.Wait()
		require.Equal(t, uint64(3), client.Stats().Unclaimed)
	})
}

func TestReceivedQoS2IsDeliveredOnceAcrossAReconnect(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := quiet(srv)
		cfg.Resume = true
		client, conn := open(t, srv, cfg)
		sub := subscribe(t, client, conn, "t", 2)
		conn.Send(pub(1, 2, "once"))
		wantMessages(t, sub, "once")
		conn.Want(pubrec(1))
		conn.Close()
		conn = srv.Connected(resumed())
		if v != wire.V311 {
			renewed(t, conn)
		}
		conn.Send(dup(1, 2, "once"))
		conn.Want(pubrec(1))
		conn.Send(pubrel(1))
		conn.Want(pubcomp(1))
		conn.Send(pub(1, 2, "another"))
		wantMessages(t, sub, "another")
	})
}
