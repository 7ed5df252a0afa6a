package clienttest

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// crowded is a client with one message in flight and a full queue of three.
func crowded(t *testing.T, w mqtt.WhenFull) (*mqtt.Client, *mqtttest.Conn, []*mqtt.Delivery) {
	t.Helper()
	srv := mqtttest.NewServer(t, wire.V5)
	cfg := Quiet(srv)
	cfg.QueueMessages, cfg.WhenFull = 3, w
	client, conn := OpenWith(t, srv, cfg, &wire.Connack{ReceiveMaximum: 1})
	var queued []*mqtt.Delivery
	for i, qos := range []mqtt.QoS{1, 1, 0, 2} {
		d := PublishAsync(t, client, string(rune('1'+i)), qos)
		queued = append(queued, d)
	}
	conn.Want(Pub(1, 1, "1"))
	conn.WantIdle()
	return client, conn, queued
}

// wantDropped says that d failed for lack of room and was not sent.
func wantDropped(t *testing.T, d *mqtt.Delivery) {
	t.Helper()
	_, err := d.Wait(t.Context())
	require.ErrorIs(t, err, mqtt.ErrQueueFull)
	require.True(t, mqtt.NotSent(err))
}

// wantRest takes the first message and the rest of the queue off the client.
func wantRest(t *testing.T, conn *mqtttest.Conn, rest ...*wire.Publish) {
	t.Helper()
	conn.Send(Puback(1))
	for _, p := range rest {
		conn.Want(p)
		switch p.QoS {
		case 1:
			conn.Send(Puback(p.PacketID))
		case 2:
			conn.Send(Pubrec(p.PacketID))
			conn.Want(Pubrel(p.PacketID))
			conn.Send(Pubcomp(p.PacketID))
		}
	}
	conn.WantIdle()
}

func TestFullQueueFailsAtOnceIfAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, _ := crowded(t, mqtt.WhenFull{AtMostOnce: mqtt.FullFail, Acknowledged: mqtt.FullFail})
		for _, qos := range []mqtt.QoS{0, 1, 2} {
			_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: qos})
			require.ErrorIs(t, err, mqtt.ErrQueueFull)
			require.True(t, mqtt.NotSent(err))
			require.ErrorIs(t, client.Publish(t.Context(), "t", nil, qos), mqtt.ErrQueueFull)
		}
		require.Zero(t, client.Stats().Failed.QueueFull)
		wantRest(t, conn, Pub(2, 1, "2"), Pub(0, 0, "3"), Pub(3, 2, "4"))
	})
}

func TestFullQueueDropsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, _ := crowded(t, mqtt.WhenFull{Acknowledged: mqtt.FullDropNewest})
		wantDropped(t, PublishAsync(t, client, "dropped", 1))
		require.ErrorIs(t, client.Publish(t.Context(), "t", nil, 2), mqtt.ErrQueueFull)
		require.Equal(t, uint64(2), client.Stats().Failed.QueueFull)

		ctx, cancel := context.WithCancel(t.Context())
		waits := Begin(func() error { return client.Publish(ctx, "t", nil, 0) })
		synctest.Wait()
		require.False(t, waits.Over(), "the other class still waits")
		cancel()
		require.ErrorIs(t, waits.Wait(), context.Canceled)
		wantRest(t, conn, Pub(2, 1, "2"), Pub(0, 0, "3"), Pub(3, 2, "4"))
	})
}

func TestFullQueueDropsTheOldestOfTheSameClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := mqtt.WhenFull{AtMostOnce: mqtt.FullDropOldest, Acknowledged: mqtt.FullDropOldest}
		client, conn, queued := crowded(t, both)
		PublishAsync(t, client, "5", 1)
		wantDropped(t, queued[1])
		conn.Want(Pub(0, 0, "3")) // nothing is before it any more
		sixth := PublishAsync(t, client, "6", 0)
		PublishAsync(t, client, "7", 0)
		wantDropped(t, sixth)
		require.Equal(t, uint64(2), client.Stats().Failed.QueueFull)
		require.Equal(t, 3, client.Stats().Queued)
		wantRest(t, conn, Pub(2, 2, "4"), Pub(3, 1, "5"), Pub(0, 0, "7"))
		_, err := queued[0].Wait(t.Context())
		require.NoError(t, err, "what was sent is not dropped")
	})
}

func TestFullQueueOfTheOtherClassFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, queued := crowded(t, mqtt.WhenFull{AtMostOnce: mqtt.FullDropOldest})
		require.ErrorIs(t, client.Publish(t.Context(), "t", make([]byte, 100<<20), 0), mqtt.ErrQueueFull)
		require.False(t, Settled(queued[2]), "it would not have helped")
		require.Zero(t, client.Stats().Failed.QueueFull)
		wantRest(t, conn, Pub(2, 1, "2"), Pub(0, 0, "3"), Pub(3, 2, "4"))
	})
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(cfg *mqtt.Config) {
			cfg.QueueMessages, cfg.WhenFull.AtMostOnce = 1, mqtt.FullDropOldest
		})
		other := PublishAsync(t, client, "other", 1)
		require.ErrorIs(t, client.Publish(t.Context(), "t", nil, 0), mqtt.ErrQueueFull)
		require.False(t, Settled(other))
	})
}

func TestMessagesThatWereSentAreNotDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.QueueMessages, cfg.WhenFull.Acknowledged = 2, mqtt.FullDropOldest
		client, conn := Open(t, srv, cfg)
		PublishAsync(t, client, "sent", 1)
		again := PublishAsync(t, client, "again", 1)
		conn.Want(Pub(1, 1, "sent"))
		conn.Want(Pub(2, 1, "again"))
		conn.Close()
		conn = srv.Connected(&wire.Connack{ReceiveMaximum: 1}) // the session is lost: one waits again
		p := mqtttest.Take[*wire.Publish](conn)
		first := PublishAsync(t, client, "first", 1)
		PublishAsync(t, client, "second", 1)
		wantDropped(t, first)
		conn.Send(Puback(p.PacketID))
		p = mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "again", string(p.Payload))
		conn.Send(Puback(p.PacketID))
		_, err := again.Wait(t.Context())
		require.NoError(t, err)
		p = mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "second", string(p.Payload))
	})
}
