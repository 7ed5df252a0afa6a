package brokers

import (
	"bytes"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var webSocket = behaviour{
	group: "Transports", name: "WebSocket",
	what:  "a message of 64 KiB goes from WebSocket to TCP and back",
	probe: probeWebSocket,
}

func probeWebSocket(p *probe) verdict {
	if p.server == nil {
		return "not tried" // nobody has told its address
	}
	topic := p.topic()
	web, plain := p.connect(mqtt.Config{}, p.server.WebSocketURL()), p.connect(mqtt.Config{})
	payload := noise(64 << 10) // Mosquitto takes in 40 KiB a second
	for _, way := range [][2]*mqtt.Client{{web, plain}, {plain, web}} {
		sub := p.subscribe(way[1], topic, mqtt.AtLeastOnce)
		p.publish(way[0], &mqtt.Message{Topic: topic, Payload: payload, QoS: mqtt.AtLeastOnce})
		require.True(p, bytes.Equal(payload, p.next(sub).Payload), "the payload has changed")
		require.NoError(p, sub.Unsubscribe(p.ctx))
	}
	return yes
}
