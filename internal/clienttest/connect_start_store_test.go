package clienttest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// TestADeviceWithoutANetworkPublishesIntoItsStore: it boots, publishes and is switched off
// before there ever was a connection, twice.
func TestADeviceWithoutANetworkPublishesIntoItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		srv.Refuse()
		d := NewDisk()
		for _, payload := range []string{"1", "2"} {
			client, err := mqtt.Start("mqtt://server", Stored(srv, d))
			require.NoError(t, err)
			PublishAsync(t, client, payload, 1)
			next := d.Killed(t)
			require.NoError(t, client.Close())
			d = next
		}
		srv.Listen()
		client := start(t, Stored(srv, d))
		PublishAsync(t, client, "3", 1)
		conn := srv.Connected(&wire.Connack{})
		for i, payload := range []string{"1", "2", "3"} {
			p := mqtttest.Take[*wire.Publish](conn)
			require.Equal(t, payload, string(p.Payload), "message %d", i)
			conn.Send(Puback(p.PacketID))
		}
		require.NoError(t, client.Flush(t.Context()))
	})
}

func TestDisconnectCountsWhatStaysInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		srv.Refuse()
		d := NewDisk()
		client := start(t, Stored(srv, d))
		const n = 3000 // more than are in memory
		var last *mqtt.Delivery
		for range n {
			last = PublishAsync(t, client, "x", 1)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		published, received, requests := unfinished(t, client.Disconnect(ctx))
		require.Equal(t, []int{n, 0, 0}, []int{published, received, requests})
		_, err := last.Wait(t.Context())
		require.ErrorIs(t, err, mqtt.ErrClosed)
		require.False(t, mqtt.NotSent(err), "the next process sends it")
	})
}
