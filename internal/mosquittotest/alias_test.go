package mosquittotest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestMosquittoUnderstandsOurAliases(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5, SendTopicAliases: 100})
	require.Positive(t, client.ServerInfo().Limits.TopicAliasMaximum)
	sub := subscribeTo(t, client, "plant/#", mqtt.ExactlyOnce)
	for i := range 500 {
		topic := fmt.Sprintf("plant/%d/temperature", i%17+i%5)
		require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{Topic: topic, Payload: []byte(topic), QoS: mqtt.QoS(i % 3)}))
	}
	for range 500 {
		m := receive(t, sub)
		require.Equal(t, m.Topic, string(m.Payload))
	}
}
