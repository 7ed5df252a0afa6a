package mqtt_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestMosquittoUnderstandsOurAliases(t *testing.T) {
	server := mosquittoStart(t, mosquitto.Options{})
	ctx := mosquittoContext(t)
	client := mosquittoConnect(t, server.URL(), mqtt.Config{Version: mqtt.V5, SendTopicAliases: 100})
	require.Positive(t, client.ServerInfo().Limits.TopicAliasMaximum)
	sub := mosquittoSubscribe(t, client, "plant/#", mqtt.ExactlyOnce)
	for i := range 500 {
		topic := fmt.Sprintf("plant/%d/temperature", i%17+i%5)
		require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{Topic: topic, Payload: []byte(topic), QoS: mqtt.QoS(i % 3)}))
	}
	for range 500 {
		m := mosquittoNext(t, sub)
		require.Equal(t, m.Topic, string(m.Payload))
	}
}
