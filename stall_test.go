package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// stalls takes the events of stalls that are there.
func stalls(events <-chan mqtt.Event) (list []mqtt.Event) {
	synctest.Wait()
	for {
		select {
		case e := <-events:
			if errors.Is(e.Err, mqtt.ErrStalled) {
				list = append(list, e)
			}
		default:
			return list
		}
	}
}

func TestStallIsToldOnceWithItsCause(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		events := client.Watch(t.Context())
		stuck := subscribe(t, client, conn, "stuck", 1)
		busy := subscribe(t, client, conn, "t", 1)
		conn.Send(to("stuck", pub(1, 1, "held")))
		for i := range 40 {
			time.Sleep(time.Second)
			conn.Send(pub(uint16(i+2), 1, "x"))
			next(t, busy)
		}
		list := stalls(events)
		require.Len(t, list, 1)
		require.Equal(t, stuck, list[0].Subscription)
		require.Equal(t, 10*time.Second, list[0].Age)
		require.Equal(t, mqtt.Connected, list[0].State)
		require.Equal(t, mqtt.Held{Messages: 1, Bytes: len("stuck") + len("held"), Age: 40 * time.Second}, stuck.Held())
		require.Zero(t, busy.Held())
		require.Equal(t, stuck.Held(), client.Stats().Held)

		// Another one, when the first is over.
		wantMessages(t, stuck, "held")
		for id := range uint16(41) {
			conn.Want(puback(id + 1))
		}
		time.Sleep(time.Minute)
		require.Empty(t, stalls(events))
		conn.Send(to("stuck", pub(1, 1, "again")))
		time.Sleep(time.Minute)
		require.Len(t, stalls(events), 1)
	})
}

func TestConsumerThatKeepsUpIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		events := client.Watch(t.Context())
		sub := subscribe(t, client, conn, "t", 1)
		for i := range 100 {
			conn.Send(pub(uint16(i+1), 1, "x"))
			time.Sleep(9 * time.Second)
			next(t, sub)
		}
		require.Empty(t, stalls(events))
	})
}

func TestWhatALostSessionHasLeftIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		events := client.Watch(t.Context())
		sub := subscribe(t, client, conn, "t", 1)
		conn.Send(pub(1, 1, "x"))
		synctest.Wait()
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		grant(conn)
		time.Sleep(time.Minute)
		require.Empty(t, stalls(events))
		require.Equal(t, 1, sub.Held().Messages)
	})
}

func TestStallCanBeToldLaterOrNever(t *testing.T) {
	for after, want := range map[time.Duration]int{time.Hour: 1, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := quiet(srv)
			cfg.StallAfter = after
			client, conn := open(t, srv, cfg)
			events := client.Watch(t.Context())
			subscribe(t, client, conn, "t", 1)
			conn.Send(pub(1, 1, "x"))
			time.Sleep(50 * time.Minute)
			require.Empty(t, stalls(events))
			time.Sleep(time.Hour)
			require.Len(t, stalls(events), want)
		})
	}
}

func TestStallByAMessageOfASubscriptionThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		events := client.Watch(t.Context())
		sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("t"), ManualAck: true})
		conn.Send(pub(1, 1, "x"))
		m := next(t, sub)
		end := begin(func() error { return sub.Unsubscribe(t.Context()) })
		wantUnsubscribe(t, conn, "t")
		require.NoError(t, end.wait())
		time.Sleep(time.Minute)
		list := stalls(events)
		require.Len(t, list, 1)
		require.Equal(t, sub, list[0].Subscription)
		require.NoError(t, m.Ack())
		conn.Want(puback(1))
	})
}

func TestAcknowledgementsOutOfOrder(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := quiet(srv)
		cfg.AcknowledgeOutOfOrder, cfg.ReceiveMaximum = true, 3
		client, conn := open(t, srv, cfg)
		events := client.Watch(t.Context())
		stuck := subscribe(t, client, conn, "stuck", 1)
		busy := subscribe(t, client, conn, "t", 2)
		conn.Send(to("stuck", pub(1, 1, "held")), pub(2, 1, "a"), pub(3, 2, "b"))
		wantMessages(t, busy, "a", "b")
		conn.Want(puback(2), pubrec(3))
		conn.Send(pubrel(3))
		conn.Want(pubcomp(3))
		time.Sleep(time.Minute)
		require.Empty(t, stalls(events), "it holds up nobody")
		conn.Send(to("stuck", pub(4, 1, "held")), to("stuck", pub(5, 1, "held")))
		time.Sleep(time.Minute)
		if v == wire.V5 {
			require.Len(t, stalls(events), 1, "the server may send no more")
		} else {
			require.Empty(t, stalls(events))
		}
		wantMessages(t, stuck, "held", "held", "held")
		conn.Want(puback(1), puback(4), puback(5))
	})
}

// The ways out for whoever has a consumer that may be stuck.
func TestStuckConsumerHoldsUpNobodyWhere(t *testing.T) {
	for name, way := range map[string]struct {
		cfg mqtt.Config
		o   mqtt.SubscribeOptions
	}{
		"acknowledgements are out of order": {mqtt.Config{AcknowledgeOutOfOrder: true}, mqtt.SubscribeOptions{}},
		"it has a connection of its own":    {mqtt.Config{}, mqtt.SubscribeOptions{OwnConnection: true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				cfg, o := way.cfg, way.o
				cfg.Dial, cfg.ClientID, cfg.ReceiveMaximum = b.Dial, "svc", 20
				client, err := mqtt.Connect(t.Context(), b.URL(), cfg)
				require.NoError(t, err)
				defer client.Close()
				o.Filters = filters("stuck")
				stuck, err := client.SubscribeWith(t.Context(), o)
				require.NoError(t, err)
				busy, err := client.Subscribe(t.Context(), "busy", 1)
				require.NoError(t, err)
				b.Publish(&wire.Publish{Topic: "stuck", Payload: []byte("held"), QoS: 1})
				const n = 1000
				for i := range n {
					b.Publish(&wire.Publish{Topic: "busy", Payload: fmt.Append(nil, i), QoS: 1})
				}
				for i := range n {
					require.Equal(t, fmt.Sprint(i), string(next(t, busy).Payload))
				}
				wantMessages(t, stuck, "held")
			})
		})
	}
}

// unclaimed takes the events of unclaimed messages that are there.
func unclaimedEvents(events <-chan mqtt.Event) (n int) {
	synctest.Wait()
	for {
		select {
		case e := <-events:
			if errors.Is(e.Err, mqtt.ErrUnclaimed) {
				n++
			}
		default:
			return n
		}
	}
}

func TestWhatAnEarlierProcessWantedWaitsForAMinute(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := openWith(t, srv, staying(srv), resumed())
		events := client.Watch(t.Context())
		time.Sleep(30 * time.Second)
		conn.Send(to("old", pub(1, 1, "x")), pub(2, 1, "claimed"))
		synctest.Wait()
		require.Equal(t, 2, client.Stats().HeldUnclaimed.Messages)
		time.Sleep(20 * time.Second)
		sub := subscribe(t, client, conn, "t", 1)
		wantMessages(t, sub, "claimed")
		conn.WantIdleFor(5 * time.Second)
		time.Sleep(6 * time.Second)
		conn.Want(puback(1), puback(2))
		require.Equal(t, 1, unclaimedEvents(events))
		require.Equal(t, uint64(1), client.Stats().Unclaimed)
		// What comes from now on is dropped at once, and told once a minute.
		for i := range uint16(10) {
			conn.Send(to("old", pub(i+1, 1, "x")))
			conn.Want(puback(i + 1))
		}
		require.Equal(t, 0, unclaimedEvents(events))
		time.Sleep(time.Minute)
		conn.Send(to("old", pub(1, 1, "x")))
		conn.Want(puback(1))
		require.Equal(t, 1, unclaimedEvents(events))
		require.Equal(t, uint64(12), client.Stats().Unclaimed)
		require.Zero(t, client.Stats().Held)
	})
}

func TestStallByWhatNobodyHasClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := staying(srv)
		cfg.HoldUnclaimedFor = -1
		client, conn := openWith(t, srv, cfg, resumed())
		events := client.Watch(t.Context())
		conn.Send(pub(1, 1, "x"))
		time.Sleep(24 * time.Hour)
		list := stalls(events)
		require.Len(t, list, 1)
		require.Nil(t, list[0].Subscription)
		sub := subscribe(t, client, conn, "t", 1)
		wantMessages(t, sub, "x")
		conn.Want(puback(1))
	})
}

func TestWhatAHandlerHasNotFinishedWaitsWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := openWith(t, srv, staying(srv), resumed())
		h := handle(t, client, conn, on("t"), func(_ context.Context, m *mqtt.Message) error {
			m.Payload = []byte("the function's own")
			return errHandler
		})
		conn.Send(pub(1, 1, "x"))
		require.ErrorIs(t, h.wait(), errHandler)
		conn.Send(pub(2, 1, "later"), to("old", pub(3, 1, "nobody's")))
		time.Sleep(time.Hour)
		require.Equal(t, uint64(1), client.Stats().Unclaimed)
		require.Equal(t, 2, client.Stats().HeldUnclaimed.Messages)
		got := make(chan string, 2)
		handle(t, client, conn, on("t"), list(got))
		wantStrings(t, got, "the function's own", "later")
		conn.Want(puback(1), puback(2), puback(3))
	})
}
