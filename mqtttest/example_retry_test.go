package mqtttest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// A publish is retried: whatever gets lost on the way, a QoS 2 message reaches the
// broker exactly once, and Publish returns when it has.
func TestExampleRetry(t *testing.T) {
	for _, lost := range []mqtttest.Match{
		{Type: wire.TypePublish, Direction: mqtttest.Up},
		{Type: wire.TypePubrec, Direction: mqtttest.Down},
		{Type: wire.TypePubrel, Direction: mqtttest.Up},
		{Type: wire.TypePubcomp, Direction: mqtttest.Down},
	} {
		t.Run(lost.Type.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial})
				require.NoError(t, err)

				// MQTT repeats nothing within a connection, and TCP loses nothing. What is
				// swallowed here got lost because the connection broke; it does so a minute
				// later.
				b.Swallow(lost)
				time.AfterFunc(time.Minute, func() { b.Drop() })
				start := time.Now()
				err = client.Publish(t.Context(), "orders", []byte("one pizza"), mqtt.ExactlyOnce)
				require.NoError(t, err)
				require.GreaterOrEqual(t, time.Since(start), time.Minute)

				require.Equal(t, uint64(1), b.Stats().Received, "one pizza, not two")
				require.NoError(t, client.Close())
				b.WantNoLeak()
			})
		})
	}
}

// A refusal is not retried: it is an answer.
func TestExampleRefusedPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
			p.Drop()
			p.Answer(&wire.Pubrec{
				PacketID:   p.Packet.(*wire.Publish).PacketID,
				ReasonCode: wire.QuotaExceeded,
			})
		})
		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial})
		require.NoError(t, err)
		defer client.Close()
		err = client.Publish(t.Context(), "orders", []byte("one pizza"), mqtt.ExactlyOnce)
		require.ErrorIs(t, err, mqtt.QuotaExceeded)
		require.False(t, mqtt.NotSent(err))
	})
}
