package mqtt_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestSubscribeReturnsWithSuback(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		s := BeginSubscribe(t.Context(), client, mqtt.Filter{Filter: "a/+", QoS: 1})
		p := mqtttest.Take[*wire.Subscribe](conn)
		require.Equal(t, []mqtt.Filter{{Filter: "a/+", QoS: 1}}, p.Filters)
		require.Equal(t, v == wire.V5, p.SubscriptionID != 0)
		require.False(t, s.Over())
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.Success}})
		require.NoError(t, s.Wait())
		require.Equal(t, []mqtt.ReasonCode{mqtt.Success}, s.Sub.Granted())
		conn.Send(To("a/b", Pub(0, 0, "x")))
		WantMessages(t, s.Sub, "x")
	})
}

func TestSubscribeSendsAllOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		list := []mqtt.Filter{
			{Filter: "a", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: mqtt.DontSendRetained},
			{Filter: "$share/g/b", QoS: 1, RetainHandling: mqtt.SendRetainedIfNew},
		}
		b := Begin(func() error {
			_, err := client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: list, UserProperties: []mqtt.UserProperty{{Name: "a", Value: "b"}}})
			return err
		})
		p := Grant(conn)
		require.Equal(t, list, p.Filters)
		require.Equal(t, []mqtt.UserProperty{{Name: "a", Value: "b"}}, p.UserProperties)
		require.NoError(t, b.Wait())
	})
}

func TestMessagesBeforeSubackAreReceived(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		s := BeginSubscribe(t.Context(), client, Filters("t")...)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(Pub(1, 1, "retained"), Pub(0, 0, "another"))
		require.False(t, s.Over())
		conn.Send(Pub(2, 2, "third"), Suback(p))
		require.NoError(t, s.Wait())
		WantMessages(t, s.Sub, "retained", "another", "third")
	})
}

func TestPartlyRefusedSubscribeReturnsBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		s := BeginSubscribe(t.Context(), client, Filters("a", "b", "c")...)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.GrantedQoS1, wire.NotAuthorized, wire.QuotaExceeded}, ReasonString: "no"})
		err := s.Wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.ErrorContains(t, err, `"b"`)
		require.False(t, mqtt.NotSent(err))
		require.NotNil(t, s.Sub)
		require.Equal(t, []mqtt.ReasonCode{mqtt.GrantedQoS1, mqtt.NotAuthorized, mqtt.QuotaExceeded}, s.Sub.Granted())
		conn.Send(To("a", Pub(0, 0, "x")))
		WantMessages(t, s.Sub, "x")
	})
}

func TestRefusedSubscribeLeavesNothing(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		s := BeginSubscribe(t.Context(), client, Filters("t")...)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(Pub(1, 1, "before the refusal"), &wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.UnspecifiedError}})
		require.ErrorIs(t, s.Wait(), mqtt.UnspecifiedError)
		require.Nil(t, s.Sub)
		conn.Want(Puback(1))
		conn.Send(Pub(2, 1, "after it"))
		conn.Want(Puback(2))
		require.Equal(t, uint64(1), client.Stats().Unclaimed)
	})
}

func TestSubackWithTheWrongCountIsAProtocolError(t *testing.T) {
	for _, codes := range [][]wire.ReasonCode{{0}, {0, 0, 0}} {
		Each(t, func(t *testing.T, v wire.Version) {
			srv := mqtttest.NewServer(t, v)
			client, conn := Open(t, srv, Quiet(srv))
			s := BeginSubscribe(t.Context(), client, Filters("a", "b")...)
			p := mqtttest.Take[*wire.Subscribe](conn)
			conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: codes})
			if v == wire.V5 {
				conn.WantDisconnect(wire.ProtocolError)
			} else {
				conn.WantClosed()
			}
			require.False(t, s.Over())
			conn = srv.Connected(&wire.Connack{})
			Grant(conn)
			require.NoError(t, s.Wait())
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
			client, conn := OpenWith(t, srv, Quiet(srv), test.ack)
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
		client, conn := Open(t, srv, Quiet(srv))
		conn.Close()
		synctest.Wait()
		s := BeginSubscribe(t.Context(), client, Filters("t")...)
		ctx, cancel := context.WithCancel(t.Context())
		never := BeginSubscribe(ctx, client, Filters("never")...)
		require.False(t, s.Over())
		cancel()
		err := never.Wait()
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, mqtt.NotSent(err))
		conn = srv.Connected(Resumed())
		require.Equal(t, Filters("t"), Grant(conn).Filters)
		require.NoError(t, s.Wait())
		conn.WantIdle()
	})
}

func TestCancelledSubscribeUnsubscribes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		s := BeginSubscribe(ctx, client, Filters("t")...)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(Pub(1, 1, "x"))
		synctest.Wait()
		cancel()
		err := s.Wait()
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, mqtt.NotSent(err))
		require.Nil(t, s.Sub)
		conn.Want(Puback(1), &wire.Unsubscribe{PacketID: 2, Filters: []string{"t"}})
		conn.Send(Suback(p), &wire.Unsuback{PacketID: 2, ReasonCodes: []wire.ReasonCode{0}})
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
		client, conn := Open(t, srv, Quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		s := BeginSubscribe(ctx, client, Filters("t")...)
		mqtttest.Take[*wire.Subscribe](conn)
		conn.Close()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, s.Wait(), context.Canceled)
		conn = srv.Connected(Resumed())
		require.Equal(t, []string{"t"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
	})
}

func TestUnsubscribeEndsTheSubscription(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(1, 1, "nobody takes it"))
		synctest.Wait()
		end := Begin(func() error { return sub.Unsubscribe(t.Context()) })
		conn.Want(Puback(1))
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, []string{"t"}, p.Filters)
		require.False(t, end.Over())
		ack := &wire.Unsuback{PacketID: p.PacketID}
		if v == wire.V5 {
			ack.ReasonCodes = []wire.ReasonCode{wire.Success}
		}
		conn.Send(ack)
		require.NoError(t, end.Wait())
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
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		messages := sub.Messages() // one message is always on its way to the channel
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
		synctest.Wait()
		end := Begin(func() error { return sub.Unsubscribe(t.Context()) })
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
		require.NoError(t, end.Wait())
		_, open := <-messages
		require.False(t, open)
	})
}

func TestRefusedUnsubscribeIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		end := Begin(func() error { return client.Unsubscribe(t.Context(), "a", "b") })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, []string{"a", "b"}, p.Filters)
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.NoSubscriptionExisted, wire.NotAuthorized}})
		err := end.Wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.ErrorContains(t, err, `"b"`)
	})
}

func TestDrainDeliversWhatCameBeforeUnsuback(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		conn.Send(Pub(1, 1, "1"))
		synctest.Wait()
		drain := Begin(func() error { return sub.Drain(t.Context()) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		ack := &wire.Unsuback{PacketID: p.PacketID}
		if v == wire.V5 {
			ack.ReasonCodes = []wire.ReasonCode{wire.Success}
		}
		conn.Send(Pub(2, 1, "2"))
		synctest.Wait()
		conn.Send(Pub(3, 1, "3"), ack, Pub(4, 1, "too late")) // in one read
		require.False(t, drain.Over())
		var got []string
		for m, err := range sub.All(t.Context()) {
			require.NoError(t, err)
			got = append(got, string(m.Payload))
		}
		require.Equal(t, []string{"1", "2", "3"}, got[:3])
		require.NoError(t, drain.Wait())
		require.NoError(t, sub.Err())
	})
}

func TestDrainLetsEveryConsumerGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		var consumers []*Call
		for range 5 {
			consumers = append(consumers, Begin(func() error {
				for {
					if _, err := sub.Next(t.Context()); err != nil {
						return err
					}
				}
			}))
		}
		channel := Begin(func() error {
			for range sub.Messages() {
			}
			return sub.Err()
		})
		synctest.Wait()
		drain := Begin(func() error { return sub.Drain(t.Context()) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"), &wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.True(t, drain.Over())
		require.NoError(t, drain.Wait())
		for i, c := range consumers {
			require.True(t, c.Over(), "consumer %d", i)
			require.ErrorIs(t, c.Wait(), mqtt.ErrUnsubscribed)
		}
		require.NoError(t, channel.Wait())
	})
}

func TestDrainByChannelLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		messages := sub.Messages()
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
		synctest.Wait()
		drain := Begin(func() error { return sub.Drain(t.Context()) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.False(t, drain.Over())
		require.Equal(t, "1", string((<-messages).Payload))
		require.False(t, drain.Over())
		require.Equal(t, "2", string((<-messages).Payload))
		_, open := <-messages
		require.False(t, open)
		require.NoError(t, drain.Wait())
		conn.Want(Puback(1), Puback(2))
	})
}

func TestDrainThatRunsOutOfTimeLeavesTheRestToUnsubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		messages := sub.Messages()
		conn.Send(Pub(1, 1, "1"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		drain := Begin(func() error { return sub.Drain(ctx) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.ErrorIs(t, drain.Wait(), context.DeadlineExceeded)
		require.NoError(t, sub.Unsubscribe(t.Context()))
		conn.Want(Puback(1))
		_, open := <-messages
		require.False(t, open)
		conn.WantIdle()
	})
}

func TestUnsubscribeOfOneWhileAnotherDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		one, two := Subscribe(t, client, conn, "t", 2), Subscribe(t, client, conn, "t", 2)
		drain := Begin(func() error { return one.Drain(t.Context()) })
		require.NoError(t, drain.Wait(), "the other one needs the filter")
		conn.WantIdle()
		end := Begin(func() error { return two.Unsubscribe(t.Context()) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.Wait())
	})
}

func TestNewSubscriptionOnADrainingFilterStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		old := Subscribe(t, client, conn, "t", 2)
		drain := Begin(func() error { return old.Drain(t.Context()) })
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		s := BeginSubscribe(t.Context(), client, Filters("t")...)
		conn.WantIdle() // a server may handle the SUBSCRIBE first
		conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(Suback(p))
		require.NoError(t, drain.Wait())
		require.NoError(t, s.Wait())
		conn.Send(IDs(Pub(1, 1, "x"), p.SubscriptionID))
		WantMessages(t, s.Sub, "x")
		// Neither is the old one renewed with a new session.
		conn.Want(Puback(1))
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		require.Equal(t, p.SubscriptionID, Grant(conn).SubscriptionID)
		conn.WantIdle()
	})
}

func TestUnsubscribeSurvivesALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		end := Begin(func() error { return sub.Unsubscribe(t.Context()) })
		mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Close()
		conn = srv.Connected(Resumed())
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		require.False(t, end.Over())
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.Wait())
	})
}

func TestCancelledUnsubscribeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		conn.Close()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		err := sub.Unsubscribe(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, mqtt.NotSent(err), "it will be")
		conn = srv.Connected(Resumed())
		require.Equal(t, []string{"t"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
	})
}

func TestUnsubscribeIsOverWithALostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		end := Begin(func() error { return sub.Unsubscribe(t.Context()) })
		mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		require.NoError(t, end.Wait())
		conn.WantIdle()
	})
}

func TestRouteClaimsWithoutSubscribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub, err := client.Route("t/#")
		require.NoError(t, err)
		conn.WantIdle()
		conn.Send(To("t/1", Pub(1, 1, "x")))
		WantMessages(t, sub, "x")
		conn.Want(Puback(1))
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
		client, conn := Open(t, srv, Quiet(srv))
		var all []*Subscribing
		for i := range 50 {
			all = append(all, BeginSubscribe(t.Context(), client, Filters(fmt.Sprintf("t/%d", i))...))
		}
		for range all {
			Grant(conn)
		}
		for _, s := range all {
			require.NoError(t, s.Wait())
		}
	})
}

func TestUserPropertiesGoWithUnsubscribe(t *testing.T) {
	for v, want := range map[wire.Version][]wire.UserProperty{
		wire.V5:   {{Name: "k", Value: "1"}, {Name: "k", Value: "2"}},
		wire.V311: nil,
	} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, v)
				client, conn := Open(t, srv, Quiet(srv))
				o := mqtt.UnsubscribeOptions{Filters: []string{"a/#"}, UserProperties: []mqtt.UserProperty{{Name: "k", Value: "1"}, {Name: "k", Value: "2"}}}
				var acks []mqtt.Ack
				end := Begin(func() (err error) {
					acks, err = client.UnsubscribeWith(t.Context(), o)
					return err
				})
				p := mqtttest.Take[*wire.Unsubscribe](conn)
				require.Equal(t, want, p.UserProperties)
				ack := &wire.Unsuback{PacketID: p.PacketID}
				if v == wire.V5 {
					ack.ReasonCodes, ack.ReasonString = []wire.ReasonCode{wire.NoSubscriptionExisted}, "never heard of it"
				}
				conn.Send(ack)
				require.NoError(t, end.Wait())
				said := mqtt.Ack{ReasonString: ack.ReasonString}
				if v == wire.V5 {
					said.ReasonCode = mqtt.NoSubscriptionExisted
				}
				require.Equal(t, []mqtt.Ack{said}, acks)

				o.UserProperties[0].Name = "\x00"
				_, err := client.UnsubscribeWith(t.Context(), o)
				require.ErrorIs(t, err, mqtt.ErrInvalid)
				conn.WantIdle()
			})
		})
	}
}

func TestProblemInformationIsRefusedOnDemand(t *testing.T) {
	for _, refused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			cfg.NoProblemInformation = refused
			opening := Dial(t, cfg)
			conn := srv.Accept()
			p := conn.WantConnect()
			if refused {
				require.Equal(t, new(false), p.RequestProblemInformation)
			} else {
				require.Nil(t, p.RequestProblemInformation)
			}
			conn.Send(&wire.Connack{})
			client := opening.Client(t)
			done := Publish(t, client, "x", 1)
			conn.Want(Pub(1, 1, "x"))
			conn.Send(&wire.Puback{PacketID: 1, ReasonCode: wire.QuotaExceeded, ReasonString: "full"})
			if refused {
				// [MQTT-3.1.2-29] the server has broken its word.
				conn.WantDisconnect(wire.ProtocolError)
				require.NoError(t, client.Close())
			}
			require.Error(t, done.Wait())
		})
	}
}

func TestWhatTheServerSaysOfFiltersReachesTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		var sub *mqtt.Subscription
		subscribing := Begin(func() (err error) {
			sub, err = client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: Filters("a", "b")})
			return err
		})
		p := mqtttest.Take[*wire.Subscribe](conn)
		said := []wire.UserProperty{{Name: "region", Value: "north"}}
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0, wire.QuotaExceeded}, ReasonString: "one is enough", UserProperties: said})
		require.ErrorIs(t, subscribing.Wait(), mqtt.QuotaExceeded)
		require.Equal(t, []mqtt.Ack{
			{ReasonCode: mqtt.Success, ReasonString: "one is enough", UserProperties: said},
			{ReasonCode: mqtt.QuotaExceeded, ReasonString: "one is enough", UserProperties: said},
		}, sub.Answers())
		require.Equal(t, []mqtt.ReasonCode{mqtt.Success, mqtt.QuotaExceeded}, sub.Granted())
	})
}
