package clienttest

import (
	"context"
	"errors"
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
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		events := client.Watch(t.Context())
		stuck := Subscribe(t, client, conn, "stuck", 1)
		busy := Subscribe(t, client, conn, "t", 1)
		conn.Send(To("stuck", Pub(1, 1, "held")))
		for i := range 40 {
			time.Sleep(time.Second)
			conn.Send(Pub(uint16(i+2), 1, "x"))
			Next(t, busy)
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
		WantMessages(t, stuck, "held")
		for id := range uint16(41) {
			conn.Want(Puback(id + 1))
		}
		time.Sleep(time.Minute)
		require.Empty(t, stalls(events))
		conn.Send(To("stuck", Pub(1, 1, "again")))
		time.Sleep(time.Minute)
		require.Len(t, stalls(events), 1)
	})
}

func TestConsumerThatKeepsUpIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		events := client.Watch(t.Context())
		sub := Subscribe(t, client, conn, "t", 1)
		for i := range 100 {
			conn.Send(Pub(uint16(i+1), 1, "x"))
			time.Sleep(9 * time.Second)
			Next(t, sub)
		}
		require.Empty(t, stalls(events))
	})
}

func TestWhatALostSessionHasLeftIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		events := client.Watch(t.Context())
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(1, 1, "x"))
		synctest.Wait()
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		Grant(conn)
		time.Sleep(time.Minute)
		require.Empty(t, stalls(events))
		require.Equal(t, 1, sub.Held().Messages)
	})
}

func TestStallCanBeToldLaterOrNever(t *testing.T) {
	for after, want := range map[time.Duration]int{time.Hour: 1, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			cfg.StallAfter = after
			client, conn := Open(t, srv, cfg)
			events := client.Watch(t.Context())
			Subscribe(t, client, conn, "t", 1)
			conn.Send(Pub(1, 1, "x"))
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
		client, conn := Open(t, srv, Quiet(srv))
		events := client.Watch(t.Context())
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true})
		conn.Send(Pub(1, 1, "x"))
		m := Next(t, sub)
		end := Begin(func() error { return sub.Unsubscribe(t.Context()) })
		WantUnsubscribe(t, conn, "t")
		require.NoError(t, end.Wait())
		time.Sleep(time.Minute)
		list := stalls(events)
		require.Len(t, list, 1)
		require.Equal(t, sub, list[0].Subscription)
		require.NoError(t, m.Ack())
		conn.Want(Puback(1))
	})
}

func TestAcknowledgementsOutOfOrder(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.AcknowledgeOutOfOrder, cfg.ReceiveMaximum = true, 3
		client, conn := Open(t, srv, cfg)
		events := client.Watch(t.Context())
		stuck := Subscribe(t, client, conn, "stuck", 1)
		busy := Subscribe(t, client, conn, "t", 2)
		conn.Send(To("stuck", Pub(1, 1, "held")), Pub(2, 1, "a"), Pub(3, 2, "b"))
		WantMessages(t, busy, "a", "b")
		conn.Want(Puback(2), Pubrec(3))
		conn.Send(Pubrel(3))
		conn.Want(Pubcomp(3))
		time.Sleep(time.Minute)
		require.Empty(t, stalls(events), "it holds up nobody")
		conn.Send(To("stuck", Pub(4, 1, "held")), To("stuck", Pub(5, 1, "held")))
		time.Sleep(time.Minute)
		if v == wire.V5 {
			require.Len(t, stalls(events), 1, "the server may send no more")
		} else {
			require.Empty(t, stalls(events))
		}
		WantMessages(t, stuck, "held", "held", "held")
		conn.Want(Puback(1), Puback(4), Puback(5))
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
				o.Filters = Filters("stuck")
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
					require.Equal(t, fmt.Sprint(i), string(Next(t, busy).Payload))
				}
				WantMessages(t, stuck, "held")
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
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := OpenWith(t, srv, staying(srv), Resumed())
		events := client.Watch(t.Context())
		time.Sleep(30 * time.Second)
		conn.Send(To("old", Pub(1, 1, "x")), Pub(2, 1, "claimed"))
		synctest.Wait()
		require.Equal(t, 2, client.Stats().HeldUnclaimed.Messages)
		time.Sleep(20 * time.Second)
		sub := Subscribe(t, client, conn, "t", 1)
		WantMessages(t, sub, "claimed")
		conn.WantIdleFor(5 * time.Second)
		time.Sleep(6 * time.Second)
		conn.Want(Puback(1), Puback(2))
		require.Equal(t, 1, unclaimedEvents(events))
		require.Equal(t, uint64(1), client.Stats().Unclaimed)
		// What comes from now on is dropped at once, and told once a minute.
		for i := range uint16(10) {
			conn.Send(To("old", Pub(i+1, 1, "x")))
			conn.Want(Puback(i + 1))
		}
		require.Equal(t, 0, unclaimedEvents(events))
		time.Sleep(time.Minute)
		conn.Send(To("old", Pub(1, 1, "x")))
		conn.Want(Puback(1))
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
		client, conn := OpenWith(t, srv, cfg, Resumed())
		events := client.Watch(t.Context())
		conn.Send(Pub(1, 1, "x"))
		time.Sleep(24 * time.Hour)
		list := stalls(events)
		require.Len(t, list, 1)
		require.Nil(t, list[0].Subscription)
		sub := Subscribe(t, client, conn, "t", 1)
		WantMessages(t, sub, "x")
		conn.Want(Puback(1))
	})
}

func TestWhatAHandlerHasNotFinishedWaitsWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, staying(srv), Resumed())
		h := handle(t, client, conn, on("t"), func(_ context.Context, m *mqtt.Message) error {
			m.Payload = []byte("the function's own")
			return errHandler
		})
		conn.Send(Pub(1, 1, "x"))
		require.ErrorIs(t, h.Wait(), errHandler)
		conn.Send(Pub(2, 1, "later"), To("old", Pub(3, 1, "nobody's")))
		time.Sleep(time.Hour)
		require.Equal(t, uint64(1), client.Stats().Unclaimed)
		require.Equal(t, 2, client.Stats().HeldUnclaimed.Messages)
		got := make(chan string, 2)
		handle(t, client, conn, on("t"), list(got))
		wantStrings(t, got, "the function's own", "later")
		conn.Want(Puback(1), Puback(2), Puback(3))
	})
}
