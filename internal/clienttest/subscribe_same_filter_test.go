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

// Subscriptions that share a filter do not change each other: the server has the
// options that serve all, and each gets what it asked for.
func TestEachSubscriptionToAFilterGetsWhatItAskedFor(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Version: v, ClientID: "c1", Dial: b.Dial})
				require.NoError(t, err)
				defer client.Close()
				low, err := client.Subscribe(t.Context(), "f", mqtt.AtMostOnce)
				require.NoError(t, err)
				high, err := client.Subscribe(t.Context(), "f", mqtt.ExactlyOnce)
				require.NoError(t, err)
				for qos := range mqtt.QoS(3) {
					b.Publish(&wire.Publish{Topic: "f", Payload: []byte("x"), QoS: qos})
					require.Equal(t, mqtt.AtMostOnce, Next(t, low).QoS)
					require.Equal(t, qos, Next(t, high).QoS)
				}
				require.NoError(t, high.Unsubscribe(t.Context()))
				b.Publish(&wire.Publish{Topic: "f", Payload: []byte("x"), QoS: 2})
				require.Equal(t, mqtt.AtMostOnce, Next(t, low).QoS, "the wide options are gone, or are taken off")
				synctest.Wait()
				require.Zero(t, client.Stats().Unfinished)
			})
		})
	}
}

// A consumer at QoS 0 that takes nothing does not hold up the acknowledgements of one
// that shares its filter at QoS 1.
func TestSubscriptionAtQoS0HoldsNoMessageOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{ClientID: "c1", Dial: b.Dial, ReceiveMaximum: 5})
		require.NoError(t, err)
		defer client.Close()
		idle, err := client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "f"}}, BufferMessages: 3})
		require.NoError(t, err)
		busy, err := client.Subscribe(t.Context(), "f", mqtt.AtLeastOnce)
		require.NoError(t, err)
		for range 100 {
			b.Publish(&wire.Publish{Topic: "f", Payload: []byte("x"), QoS: 1})
			require.Equal(t, mqtt.AtLeastOnce, Next(t, busy).QoS)
		}
		require.Equal(t, uint64(97), idle.Dropped())
	})
}

func TestRetainFlagIsKeptForThoseWhoAskForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{ClientID: "c1", Dial: b.Dial})
		require.NoError(t, err)
		defer client.Close()
		plain, err := client.Subscribe(t.Context(), "f", mqtt.AtLeastOnce)
		require.NoError(t, err)
		published, err := client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "f", QoS: 1, RetainAsPublished: true}}})
		require.NoError(t, err)
		b.Publish(&wire.Publish{Topic: "f", Payload: []byte("x"), QoS: 1, Retain: true})
		require.False(t, Next(t, plain).Retain)
		require.True(t, Next(t, published).Retain)
	})
}

// A server keeps one set of options for a filter, and what it does not send to one it
// cannot send to another.
func TestNoLocalCannotBeSharedWithItsOpposite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{ClientID: "c1", Dial: b.Dial})
		require.NoError(t, err)
		defer client.Close()
		first, err := client.Subscribe(t.Context(), "f", mqtt.AtLeastOnce)
		require.NoError(t, err)
		noLocal := mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "f", QoS: 1, NoLocal: true}}}
		_, err = client.SubscribeWith(t.Context(), noLocal)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.True(t, mqtt.NotSent(err))
		require.NoError(t, first.Unsubscribe(t.Context()))
		_, err = client.SubscribeWith(t.Context(), noLocal)
		require.NoError(t, err)
	})
}

// When one leaves, the server's options follow (5.0), without retained messages.
func TestOptionsFollowThoseWhoAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		Subscribe(t, client, conn, "f", mqtt.AtMostOnce)
		high := Subscribe(t, client, conn, "f", mqtt.ExactlyOnce)
		end := Begin(func() error { return high.Unsubscribe(t.Context()) })
		p := mqtttest.Take[*wire.Subscribe](conn)
		require.Equal(t, []mqtt.Filter{{Filter: "f", RetainHandling: mqtt.DontSendRetained}}, p.Filters)
		require.Equal(t, uint32(1), p.SubscriptionID)
		conn.Send(Suback(p))
		require.NoError(t, end.Wait())
		conn.WantIdle()
	})
}
