package mosquittotest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// Connections that are replaced all the time, at a bounded rate: each message arrives once
// and in order.
func TestMosquittoGetsEachMessageOnceFromShortConnections(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	listener := connectTo(t, server.URL(), mqtt.Config{})
	sub, err := listener.Subscribe(ctx, "t", mqtt.ExactlyOnce)
	require.NoError(t, err)
	publisher := connectTo(t, server.URL(), mqtt.Config{
		MaximumConnectionAge: 100 * time.Millisecond,
		PublishRate:          mqtt.PublishRate{Messages: 250},
	})
	const n = 300
	for i := range n {
		_, err := publisher.PublishAsync(ctx, &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: mqtt.ExactlyOnce})
		require.NoError(t, err)
	}
	for i := range n {
		m, err := sub.Next(ctx)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), string(m.Payload))
	}
	require.NoError(t, publisher.Flush(ctx))
	require.Greater(t, publisher.Stats().Connections, uint64(2))
}

// A client that changes its identifier has a session under each.
func TestMosquittoKeepsASessionForEachIdentifier(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		server := startServer(t, mosquitto.Options{})
		ctx := testContext(t)
		publisher := connectTo(t, server.URL(), mqtt.Config{})
		attempts := 0
		client := connectTo(t, server.URL(), mqtt.Config{
			ClientID: "a", Version: v,
			Attempt: func(_ context.Context, a *mqtt.Attempt) error {
				if attempts++; attempts%2 == 0 {
					a.ClientID = "b"
				}
				return nil
			},
		})
		sub, err := client.Subscribe(ctx, "in", mqtt.ExactlyOnce)
		require.NoError(t, err)
		out, err := publisher.Subscribe(ctx, "out", mqtt.ExactlyOnce)
		require.NoError(t, err)
		for i := range 6 {
			require.Equal(t, []string{"a", "b"}[i%2], client.ServerInfo().ClientID)
			require.NoError(t, client.Publish(ctx, "out", fmt.Append(nil, i), mqtt.ExactlyOnce))
			m, err := out.Next(ctx)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i), string(m.Payload))
			require.NoError(t, client.Flush(ctx))
			require.NoError(t, publisher.Publish(ctx, "in", fmt.Append(nil, i), mqtt.ExactlyOnce))
			for m = nil; m == nil || string(m.Payload) != fmt.Sprint(i); { // what came meanwhile waits in the other session
				m, err = sub.Next(ctx)
				require.NoError(t, err)
			}
			require.NoError(t, client.Reconnect(ctx))
		}
	})
}
