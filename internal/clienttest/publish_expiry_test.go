package clienttest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// expiring publishes a message that is worth delivering for d.
func expiring(t *testing.T, c *mqtt.Client, payload string, qos mqtt.QoS, d time.Duration) *mqtt.Delivery {
	t.Helper()
	delivery, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: qos, MessageExpiryInterval: &d})
	require.NoError(t, err)
	return delivery
}

// wantExpiredAfter says that the message behind d fails after that time, and not before.
func wantExpiredAfter(t *testing.T, wait time.Duration, d *mqtt.Delivery) {
	t.Helper()
	start := time.Now()
	_, err := d.Wait(t.Context())
	require.ErrorIs(t, err, mqtt.ErrExpired)
	require.True(t, mqtt.NotSent(err))
	require.InDelta(t, wait, time.Since(start), float64(time.Millisecond))
}

func TestAMessageExpiresAtItsTimeWithoutAConnection(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, v)
			client, conn := Open(t, srv, Quiet(srv))
			conn.Close()
			srv.Refuse()
			synctest.Wait()
			late, early := expiring(t, client, "late", 1, 10*time.Second), expiring(t, client, "early", 0, 4*time.Second)
			stays := PublishAsync(t, client, "stays", 1)
			wantExpiredAfter(t, 4*time.Second, early)
			wantExpiredAfter(t, 6*time.Second, late)
			require.False(t, Settled(stays))
			require.Equal(t, 1, client.Stats().Queued)
		})
	}
}

func TestPublishOfAMessageThatExpiresReturnsAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(*mqtt.Config) {})
		start := time.Now()
		err := client.PublishMessage(t.Context(), &mqtt.Message{Topic: "t", QoS: 2, MessageExpiryInterval: new(5 * time.Second)})
		require.ErrorIs(t, err, mqtt.ErrExpired)
		require.True(t, mqtt.NotSent(err))
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestAMessageExpiresAlsoWhileItWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(cfg *mqtt.Config) { cfg.QueueMessages = 1 })
		PublishAsync(t, client, "in the way", 1)
		start := time.Now()
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, MessageExpiryInterval: new(5 * time.Second)})
		require.ErrorIs(t, err, mqtt.ErrExpired)
		require.ErrorIs(t, err, mqtt.ErrQueueFull)
		require.True(t, mqtt.NotSent(err))
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestAMessageThatExpiresGivesItsPlaceToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(cfg *mqtt.Config) { cfg.QueueMessages = 1 })
		expiring(t, client, "1", 1, 5*time.Second)
		start := time.Now()
		PublishAsync(t, client, "2", 1) // waits for room
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestAnExpiredMessageIsNotInTheWayOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{ReceiveMaximum: 1})
		sent := PublishAsync(t, client, "sent", 1)
		conn.Want(Pub(1, 1, "sent"))
		first := expiring(t, client, "waits for quota", 1, 5*time.Second)
		PublishAsync(t, client, "behind it", 0)
		conn.WantIdle()
		wantExpiredAfter(t, 5*time.Second, first)
		conn.Want(Pub(0, 0, "behind it"))
		conn.Send(Puback(1))
		_, err := sent.Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestExpiryIsNotSentBefore5(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		if v == wire.V5 {
			return
		}
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		require.NoError(t, client.PublishMessage(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte("0"), MessageExpiryInterval: new(time.Minute)}))
		conn.Want(Pub(0, 0, "0"))
		d := expiring(t, client, "1", 1, time.Minute)
		conn.Want(Pub(1, 1, "1"))
		conn.Send(Puback(1))
		_, err := d.Wait(t.Context())
		require.NoError(t, err)

		// What else 5.0 alone has is refused as before.
		err = client.PublishMessage(t.Context(), &mqtt.Message{Topic: "t", ContentType: "c", MessageExpiryInterval: new(time.Minute)})
		_, ok := errors.AsType[*wire.FieldError](err)
		require.True(t, ok, "%v", err)
	})
}

func TestQueueAgeEndsTheWaitOfEveryMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(cfg *mqtt.Config) { cfg.QueueAge = 10 * time.Second })
		first := PublishAsync(t, client, "first", 1)
		time.Sleep(2 * time.Second)
		second := PublishAsync(t, client, "second", 0)
		short, long := expiring(t, client, "short", 1, 3*time.Second), expiring(t, client, "long", 1, time.Hour)
		wantExpiredAfter(t, 3*time.Second, short)
		wantExpiredAfter(t, 5*time.Second, first)
		wantExpiredAfter(t, 2*time.Second, second)
		wantExpiredAfter(t, 0, long)
		_, err := first.Wait(t.Context())
		require.ErrorContains(t, err, "waited too long")
	})
}

func TestQueueAgeDoesNotShortenTheExpiryThatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.QueueAge = time.Minute
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{ReceiveMaximum: 1})
		PublishAsync(t, client, "1", 1)
		conn.Want(Pub(1, 1, "1"))
		d := expiring(t, client, "2", 1, time.Hour)
		time.Sleep(59 * time.Second)
		conn.Send(Puback(1))
		p := mqtttest.Take[*wire.Publish](conn)
		require.EqualValues(t, 3600-59, *p.Properties.MessageExpiryInterval)
		time.Sleep(time.Hour) // once sent it has no age
		conn.Send(Puback(p.PacketID))
		_, err := d.Wait(t.Context())
		require.NoError(t, err)
	})
}
