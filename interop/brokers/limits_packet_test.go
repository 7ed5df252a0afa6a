package brokers

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var packetSize = behaviour{
	group: "Limits", name: "maximum packet size",
	what:  "the largest message gets through; the publisher of a larger one is told why, and its other messages get through",
	on:    limited,
	probe: probePacketSize,
	departures: []departure{
		{broker: "Mosquitto", versions: before5, verdict: "hangs up", why: "before 5.0 there is no other way to say it"},
		{broker: "ours", versions: before5, verdict: "hangs up", why: "before 5.0 there is no other way to say it"},
		{broker: "RabbitMQ", verdict: "never answers", why: "the message above `max_message_size` is not acknowledged, and the connection stays: Publish needs a deadline"},
		{broker: "NATS", verdict: "hangs up", why: "before 5.0 there is no other way to say it"},
		{broker: "mochi", verdict: "hangs up", why: "it does not announce its limit on 5.0, and gives no reason"},
		{broker: "aedes", verdict: "takes it", why: "it has no limit"},
	},
}

func probePacketSize(p *probe) verdict {
	topic := p.topic()
	receiver, client := p.connect(mqtt.Config{KeepAlive: keepAliveLimit * time.Second / 2}), p.connect(impatient(mqtt.Config{KeepAlive: keepAliveLimit * time.Second / 2}))
	sub := p.subscribe(receiver, topic, mqtt.AtLeastOnce)
	const rest = 100 // of the packet: more than its header, topic and properties
	p.publish(client, &mqtt.Message{Topic: topic, Payload: noise(packetLimit - rest), QoS: mqtt.AtLeastOnce})
	require.Len(p, p.next(sub).Payload, packetLimit-rest)
	ctx, cancel := context.WithTimeout(p.ctx, 2*p.patience)
	defer cancel()
	err := client.PublishMessage(ctx, &mqtt.Message{Topic: topic, Payload: noise(packetLimit + 1), QoS: mqtt.AtLeastOnce})
	if ctx.Err() != nil {
		p.alive(client) // nobody can know more
		return "never answers"
	}
	p.publish(client, &mqtt.Message{Topic: topic, Payload: []byte("behind"), QoS: mqtt.AtLeastOnce})
	come := len(p.until(sub, "behind")) > 0
	switch {
	case err == nil && come:
		return "takes it"
	case err == nil:
		return inSilence
	case come:
		return "takes it, and refuses it"
	}
	p.Log(err)
	if v := reasonOf(err); v != "packet too large" {
		return v
	}
	return yes
}
