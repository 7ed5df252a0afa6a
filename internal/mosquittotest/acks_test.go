package mosquittotest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// A process that has taken a message and disconnects in order leaves nothing of it to
// the next one.
func TestMosquittoRepeatsNothingAfterAnOrderlyEnd(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		server := startServer(t, mosquitto.Options{})
		publisher := connectTo(t, server.URL(), mqtt.Config{})
		ctx := testContext(t)
		for i := range 100 {
			client, err := mqtt.Connect(ctx, server.URL(), mqtt.Config{ClientID: "svc", Resume: true, Version: v})
			require.NoError(t, err)
			sub, err := client.Subscribe(ctx, "t", mqtt.ExactlyOnce)
			require.NoError(t, err)
			require.NoError(t, publisher.Publish(ctx, "t", fmt.Append(nil, i), mqtt.ExactlyOnce))
			require.Equal(t, fmt.Sprint(i), string((<-sub.Messages()).Payload))
			require.NoError(t, client.Disconnect(ctx))
		}
	})
}

// A consumer that takes nothing leaves the others alone, in each of the ways that
// there are.
func TestMosquittoWithAStuckConsumer(t *testing.T) {
	for name, own := range map[string]bool{"out of order": false, "own connection": true} {
		t.Run(name, func(t *testing.T) { testStuckConsumer(t, own) })
	}
}

func testStuckConsumer(t *testing.T, own bool) {
	server := startServer(t, mosquitto.Options{})
	publisher := connectTo(t, server.URL(), mqtt.Config{})
	client := connectTo(t, server.URL(), mqtt.Config{ClientID: "svc", AcknowledgeOutOfOrder: !own})
	ctx := testContext(t)
	stuck, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: Filters("stuck"), OwnConnection: own})
	require.NoError(t, err)
	busy, err := client.Subscribe(ctx, "busy", mqtt.ExactlyOnce)
	require.NoError(t, err)
	require.NoError(t, publisher.Publish(ctx, "stuck", []byte("held"), mqtt.AtLeastOnce))
	for i := range 2000 {
		_, err := publisher.PublishAsync(ctx, &mqtt.Message{Topic: "busy", Payload: fmt.Append(nil, i), QoS: 2})
		require.NoError(t, err)
		m, err := busy.Next(ctx)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), string(m.Payload))
	}
	m, err := stuck.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, "held", string(m.Payload))
}
