package clienttest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// wantRefusedAtOnce says that a message of that QoS which may not wait is refused by each
// method, in no time, and leaves nothing behind.
func wantRefusedAtOnce(t *testing.T, c *mqtt.Client, qos mqtt.QoS, cause error) {
	t.Helper()
	m := &mqtt.Message{Topic: "t", Payload: []byte("now"), QoS: qos, NotQueued: true}
	before, start := c.Stats(), time.Now()
	err := c.PublishMessage(t.Context(), m)
	require.ErrorIs(t, err, cause)
	require.True(t, mqtt.NotSent(err))
	d, err := c.PublishAsync(t.Context(), m)
	require.ErrorIs(t, err, cause)
	require.True(t, mqtt.NotSent(err))
	require.Nil(t, d)
	require.Zero(t, time.Since(start))
	require.Equal(t, before, c.Stats())
}

func TestAMessageThatMayNotWaitNeedsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(cfg *mqtt.Config) { cfg.QueueMessages = 1 })
		for qos := range mqtt.QoS(3) {
			wantRefusedAtOnce(t, client, qos, mqtt.ErrNotConnected)
		}
		PublishAsync(t, client, "in the queue, which is full", 1)
		wantRefusedAtOnce(t, client, 1, mqtt.ErrNotConnected)
		require.NoError(t, client.Close())
		err := client.PublishMessage(t.Context(), &mqtt.Message{Topic: "t", NotQueued: true})
		require.ErrorIs(t, err, mqtt.ErrClosed)
	})
}

func TestAMessageThatMayNotWaitNeedsQuotaAndAnEmptyQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{ReceiveMaximum: 1})
		now := func(payload string, qos mqtt.QoS) *Call {
			return Begin(func() error {
				return client.PublishMessage(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: qos, NotQueued: true})
			})
		}
		first := now("1", 2)
		conn.Want(Pub(1, 2, "1"))
		for _, qos := range []mqtt.QoS{1, 2} {
			wantRefusedAtOnce(t, client, qos, mqtt.ErrQueueFull)
		}
		require.NoError(t, now("needs no quota", 0).Wait())
		conn.Want(Pub(0, 0, "needs no quota"))
		waits := PublishAsync(t, client, "waits", 1)
		wantRefusedAtOnce(t, client, 0, mqtt.ErrQueueFull)
		conn.Send(Pubrec(1))
		conn.Want(Pubrel(1))
		conn.Send(Pubcomp(1))
		require.NoError(t, first.Wait())
		conn.Want(Pub(2, 1, "waits"))
		conn.Send(Puback(2))
		require.True(t, Settled(waits))
		second := now("2", 1)
		conn.Want(Pub(3, 1, "2"))
		conn.Send(Puback(3))
		require.NoError(t, second.Wait())
	})
}

func TestAMessageThatCouldNotWaitIsRepeatedOnceItWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		d, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte("1"), QoS: 1, NotQueued: true})
		require.NoError(t, err)
		conn.Want(Pub(1, 1, "1"))
		conn.Close()
		conn = srv.Connected(Resumed())
		conn.Want(Dup(1, 1, "1"))
		conn.Send(Puback(1))
		_, err = d.Wait(t.Context())
		require.NoError(t, err)
	})
}
