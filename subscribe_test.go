package mqtt_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func filters(filters ...string) (list []mqtt.Filter) {
	for _, f := range filters {
		list = append(list, mqtt.Filter{Filter: f, QoS: 2})
	}
	return list
}

// subscribing is a Subscribe under way.
type subscribing struct {
	sub *mqtt.Subscription
	*call
}

func beginSubscribe(ctx context.Context, c *mqtt.Client, filters ...mqtt.Filter) *subscribing {
	s := new(subscribing)
	s.call = begin(func() (err error) {
		s.sub, err = c.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: filters})
		return err
	})
	return s
}

func TestSubscribeReturnsWithSuback(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		s := beginSubscribe(t.Context(), client, mqtt.Filter{Filter: "a/+", QoS: 1})
		p := mqtttest.Take[*wire.Subscribe](conn)
		require.Equal(t, []mqtt.Filter{{Filter: "a/+", QoS: 1}}, p.Filters)
		require.Equal(t, v == wire.V5, p.SubscriptionID != 0)
		require.False(t, s.over())
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.Success}})
		require.NoError(t, s.wait())
		require.Equal(t, []mqtt.ReasonCode{mqtt.Success}, s.sub.Granted())
		conn.Send(to("a/b", pub(0, 0, "x")))
		wantMessages(t, s.sub, "x")
	})
}

func TestSubscribeSendsAllOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		list := []mqtt.Filter{
			{Filter: "a", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: mqtt.DontSendRetained},
			{Filter: "$share/g/b", QoS: 1, RetainHandling: mqtt.SendRetainedIfNew},
		}
		b := begin(func() error {
			_, err := client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: list, UserProperties: []mqtt.UserProperty{{Name: "a", Value: "b"}}})
			return err
		})
		p := grant(conn)
		require.Equal(t, list, p.Filters)
		require.Equal(t, []mqtt.UserProperty{{Name: "a", Value: "b"}}, p.UserProperties)
		require.NoError(t, b.wait())
	})
}

func TestMessagesBeforeSubackAreReceived(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		s := beginSubscribe(t.Context(), client, filters("t")...)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(pub(1, 1, "retained"), pub(0, 0, "another"))
		require.False(t, s.over())
		conn.Send(pub(2, 2, "third"), suback(p))
		require.NoError(t, s.wait())
		wantMessages(t, s.sub, "retained", "another", "third")
	})
}

func TestPartlyRefusedSubscribeReturnsBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		s := beginSubscribe(t.Context(), client, filters("a", "b", "c")...)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.GrantedQoS1, wire.NotAuthorized, wire.QuotaExceeded}, ReasonString: "no"})
		err := s.wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.ErrorContains(t, err, `"b"`)
		require.False(t, mqtt.NotSent(err))
		require.NotNil(t, s.sub)
		require.Equal(t, []mqtt.ReasonCode{mqtt.GrantedQoS1, mqtt.NotAuthorized, mqtt.QuotaExceeded}, s.sub.Granted())
		conn.Send(to("a", pub(0, 0, "x")))
		wantMessages(t, s.sub, "x")
	})
}

func TestRefusedSubscribeLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		s := beginSubscribe(t.Context(), client, filters("t")...)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(pub(1, 1, "before the refusal"), &wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.UnspecifiedError}})
		require.ErrorIs(t, s.wait(), mqtt.UnspecifiedError)
		require.Nil(t, s.sub)
		conn.Want(puback(1))
		conn.Send(pub(2, 1, "after it"))
		conn.Want(puback(2))
		require.Equal(t, uint64(1), client.Stats().Unclaimed)
	})
}

func TestSubackWithTheWrongCountIsAProtocolError(t *testing.T) {
	for _, codes := range [][]wire.ReasonCode{{0}, {0, 0, 0}} {
		each(t, func(t *testing.T, v wire.Version) {
			srv := mqtttest.NewServer(t, v)
			client, conn := open(t, srv, quiet(srv))
			s := beginSubscribe(t.Context(), client, filters("a", "b")...)
			p := mqtttest.Take[*wire.Subscribe](conn)
			conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: codes})
			if v == wire.V5 {
				conn.WantDisconnect(wire.ProtocolError)
			} else {
				conn.WantClosed()
			}
			require.False(t, s.over())
			conn = srv.Connected(&wire.Connack{})
			grant(conn)
			require.NoError(t, s.wait())
		})
	}
}

func TestSubscribeChecksTheServersLimits(t *testing.T) {
	for filter, test := range map[string]struct {
		ack  *wire.Connack
		code mqtt.ReasonCode
	}{
		"a/#":                                 {&wire.Connack{WildcardSubscriptionAvailable: new(false)}, mqtt.WildcardSubscriptionsNotSupported},
		"$share/g/a":                          {&wire.Connack{SharedSubscriptionAvailable: new(false)}, mqtt.SharedSubscriptionsNotSupported},
		"long/filter/long/filter/long/filter": {&wire.Connack{MaximumPacketSize: 30}, mqtt.PacketTooLarge},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := openWith(t, srv, quiet(srv), test.ack)
			_, err := client.Subscribe(t.Context(), filter, 0)
			require.ErrorIs(t, err, test.code)
			require.True(t, mqtt.NotSent(err))
			conn.WantIdle()
		})
	}
}

func TestSubscribeWaitsForAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		conn.Close()
		synctest.Wait()
		s := beginSubscribe(t.Context(), client, filters("t")...)
		ctx, cancel := context.WithCancel(t.Context())
		never := beginSubscribe(ctx, client, filters("never")...)
		require.False(t, s.over())
		cancel()
		err := never.wait()
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, mqtt.NotSent(err))
		conn = srv.Connected(resumed())
		require.Equal(t, filters("t"), grant(conn).Filters)
		require.NoError(t, s.wait())
		conn.WantIdle()
	})
}

func TestCancelledSubscribeUnsubscribes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		s := beginSubscribe(ctx, client, filters("t")...)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(pub(1, 1, "x"))
		synctest.Wait()
		cancel()
		err := s.wait()
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, mqtt.NotSent(err))
		require.Nil(t, s.sub)
		conn.Want(puback(1), &wire.Unsubscribe{PacketID: 2, Filters: []string{"t"}})
		conn.Send(suback(p), &wire.Unsuback{PacketID: 2, ReasonCodes: []wire.ReasonCode{0}})
		conn.WantIdle()
		// And nothing comes back with the next connection.
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		conn.WantIdle()
	})
}

func TestCancelledSubscribeUnsubscribesOnTheNextConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		s := beginSubscribe(ctx, client, filters("t")...)
		mqtttest.Take[*wire.Subscribe](conn)
		conn.Close()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, s.wait(), context.Canceled)
		conn = srv.Connected(resumed())
		require.Equal(t, []string{"t"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
	})
}

func TestUnsubscribeEndsTheSubscription(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 1)
		conn.Send(pub(1, 1, "nobody takes it"))
		synctest.Wait()
		end := begin(func() error { return sub.Unsubscribe(t.Context()) })
		conn.Want(puback(1))
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, []string{"t"}, p.Filters)
		require.False(t, end.over())
		ack := &wire.Unsuback{PacketID: p.PacketID}
		if v == wire.V5 {
			ack.ReasonCodes = []wire.ReasonCode{wire.Success}
		}
		conn.Send(ack)
		require.NoError(t, end.wait())
		_, err := sub.Next(t.Context())
		require.ErrorIs(t, err, mqtt.ErrUnsubscribed)
		require.NoError(t, sub.Err())
		for range sub.All(t.Context()) {
			t.Fatal("a message after Unsubscribe")
		}
		_, open := <-sub.Messages()
		require.False(t, open)
		require.NoError(t, sub.Unsubscribe(t.Context()), "again")
		conn.WantIdle()
	})
}

func TestUnsubscribeWithoutAConsumerHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 1)
		messages := sub.Messages() // one message is always on its way to the channel
		conn.Send(pub(1, 1, "1"), pub(2, 1, "2"))
		synctest.Wait()
		end := begin(func() error { return sub.Unsubscribe(t.Context()) })
		seen := map[uint16]bool{}
		for range 3 {
			switch p := mqtttest.Take[wire.Packet](conn).(type) {
			case *wire.Puback:
				seen[p.PacketID] = true
			case *wire.Unsubscribe:
				conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
			}
		}
		require.Equal(t, map[uint16]bool{1: true, 2: true}, seen)
		require.NoError(t, end.wait())
		_, open := <-messages
		require.False(t, open)
	})
}

func TestRefusedUnsubscribeIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		end := begin(func() error { return client.Unsubscribe(t.Context(), "a", "b") })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, []string{"a", "b"}, p.Filters)
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.NoSubscriptionExisted, wire.NotAuthorized}})
		err := end.wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.ErrorContains(t, err, `"b"`)
	})
}

func TestDrainDeliversWhatCameBeforeUnsuback(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 2)
		conn.Send(pub(1, 1, "1"))
		synctest.Wait()
		drain := begin(func() error { return sub.Drain(t.Context()) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		ack := &wire.Unsuback{PacketID: p.PacketID}
		if v == wire.V5 {
			ack.ReasonCodes = []wire.ReasonCode{wire.Success}
		}
		conn.Send(pub(2, 1, "2"))
		synctest.Wait()
		conn.Send(pub(3, 1, "3"), ack, pub(4, 1, "too late")) // in one read
		require.False(t, drain.over())
		var got []string
		for m, err := range sub.All(t.Context()) {
			require.NoError(t, err)
			got = append(got, string(m.Payload))
		}
		require.Equal(t, []string{"1", "2", "3"}, got[:3])
		require.NoError(t, drain.wait())
		require.NoError(t, sub.Err())
	})
}

func TestDrainLetsEveryConsumerGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 2)
		var consumers []*call
		for range 5 {
			consumers = append(consumers, begin(func() error {
				for {
					if _, err := sub.Next(t.Context()); err != nil {
						return err
					}
				}
			}))
		}
		channel := begin(func() error {
			for range sub.Messages() {
			}
			return sub.Err()
		})
		synctest.Wait()
		drain := begin(func() error { return sub.Drain(t.Context()) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(pub(1, 1, "1"), pub(2, 1, "2"), &wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.True(t, drain.over())
		require.NoError(t, drain.wait())
		for i, c := range consumers {
			require.True(t, c.over(), "consumer %d", i)
			require.ErrorIs(t, c.wait(), mqtt.ErrUnsubscribed)
		}
		require.NoError(t, channel.wait())
	})
}

func TestDrainByChannelLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 2)
		messages := sub.Messages()
		conn.Send(pub(1, 1, "1"), pub(2, 1, "2"))
		synctest.Wait()
		drain := begin(func() error { return sub.Drain(t.Context()) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.False(t, drain.over())
		require.Equal(t, "1", string((<-messages).Payload))
		require.False(t, drain.over())
		require.Equal(t, "2", string((<-messages).Payload))
		_, open := <-messages
		require.False(t, open)
		require.NoError(t, drain.wait())
		conn.Want(puback(1), puback(2))
	})
}

func TestDrainThatRunsOutOfTimeLeavesTheRestToUnsubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 2)
		messages := sub.Messages()
		conn.Send(pub(1, 1, "1"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		drain := begin(func() error { return sub.Drain(ctx) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.ErrorIs(t, drain.wait(), context.DeadlineExceeded)
		require.NoError(t, sub.Unsubscribe(t.Context()))
		conn.Want(puback(1))
		_, open := <-messages
		require.False(t, open)
		conn.WantIdle()
	})
}

func TestUnsubscribeOfOneWhileAnotherDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		one, two := subscribe(t, client, conn, "t", 2), subscribe(t, client, conn, "t", 2)
		drain := begin(func() error { return one.Drain(t.Context()) })
		require.NoError(t, drain.wait(), "the other one needs the filter")
		conn.WantIdle()
		end := begin(func() error { return two.Unsubscribe(t.Context()) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.wait())
	})
}

func TestNewSubscriptionOnADrainingFilterStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		old := subscribe(t, client, conn, "t", 2)
		drain := begin(func() error { return old.Drain(t.Context()) })
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		s := beginSubscribe(t.Context(), client, filters("t")...)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}}, suback(p))
		require.NoError(t, drain.wait())
		require.NoError(t, s.wait())
		conn.Send(ids(pub(1, 1, "x"), p.SubscriptionID))
		wantMessages(t, s.sub, "x")
		// Neither is the old one renewed with a new session.
		conn.Want(puback(1))
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		require.Equal(t, p.SubscriptionID, grant(conn).SubscriptionID)
		conn.WantIdle()
	})
}

func TestUnsubscribeSurvivesALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 2)
		end := begin(func() error { return sub.Unsubscribe(t.Context()) })
		mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Close()
		conn = srv.Connected(resumed())
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		require.False(t, end.over())
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.wait())
	})
}

func TestCancelledUnsubscribeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 2)
		conn.Close()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		err := sub.Unsubscribe(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, mqtt.NotSent(err), "it will be")
		conn = srv.Connected(resumed())
		require.Equal(t, []string{"t"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
	})
}

func TestUnsubscribeIsOverWithALostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 2)
		end := begin(func() error { return sub.Unsubscribe(t.Context()) })
		mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		require.NoError(t, end.wait())
		conn.WantIdle()
	})
}

func TestRouteClaimsWithoutSubscribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub, err := client.Route("t/#")
		require.NoError(t, err)
		conn.WantIdle()
		conn.Send(to("t/1", pub(1, 1, "x")))
		wantMessages(t, sub, "x")
		conn.Want(puback(1))
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		conn.WantIdle()
		require.NoError(t, sub.Unsubscribe(t.Context()))
		conn.WantIdle()
	})
}

func TestManySubscribesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		var all []*subscribing
		for i := range 50 {
			all = append(all, beginSubscribe(t.Context(), client, filters(fmt.Sprintf("t/%d", i))...))
		}
		for range all {
			grant(conn)
		}
		for _, s := range all {
			require.NoError(t, s.wait())
		}
	})
}
