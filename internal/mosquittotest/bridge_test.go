package mosquittotest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestMosquittoSendsABridgeNotItsOwnMessages(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311} {
		bridge := connectTo(t, server.URL(), mqtt.Config{Version: v, Bridge: true})
		other := connectTo(t, server.URL(), mqtt.Config{Version: v})
		sub := subscribeTo(t, bridge, "a", mqtt.AtLeastOnce)
		publish(t, bridge, "a", "own", mqtt.AtLeastOnce)
		require.NoError(t, other.PublishMessage(testContext(t), &mqtt.Message{Topic: "a", Payload: []byte("other"), QoS: 1, Retain: true}))
		m := receive(t, sub)
		require.Equal(t, "other", string(m.Payload))
		require.True(t, m.Retain, "as published")
	}
}
