package brokers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var receiveMaximum = behaviour{
	group: "Limits", name: "few messages in flight",
	what:  "500 messages at QoS 1 and 2 arrive in order where the broker permits five at a time",
	on:    limited,
	probe: probeReceiveMaximum,
	departures: []departure{
		{
			broker: "Mosquitto", versions: before5, verdict: "loses some, unless Config.Inflight is set", patience: 15 * time.Second,
			why: "it acknowledges QoS 2 messages beyond `max_inflight_messages` and passes them on out of order, or never (2.0.11, with Paho's client as well). Before 5.0 it cannot tell its limit: `Config.Inflight` must not be above it. Both are 20 by default",
		},
		{
			broker: "mochi", versions: before5, verdict: "loses some, unless Config.Inflight is set", or: []verdict{"loses some", yes},
			why: "what exceeds its receive maximum, which it cannot tell before 5.0, may get no answer",
		},
		{
			broker: "aedes", verdict: "loses some", or: []verdict{"loses some, unless Config.Inflight is set", yes},
			why: "QoS 2 messages beyond its `maxInflightInbound` may get no answer: `Config.Inflight` must not be above it",
		},
	},
}

func probeReceiveMaximum(p *probe) verdict {
	for _, qos := range []mqtt.QoS{mqtt.AtLeastOnce, mqtt.ExactlyOnce} {
		if inOrder(p, qos, mqtt.Config{}) {
			continue
		}
		if !inOrder(p, qos, mqtt.Config{Inflight: receiveLimit}) {
			return "loses some"
		}
		return "loses some, unless Config.Inflight is set"
	}
	return yes
}

// inOrder sends 500 messages and reports whether they all come in their order.
func inOrder(p *probe, qos mqtt.QoS, sending mqtt.Config) bool {
	const messages = 500 // no more than brokers queue for a subscriber
	topic := p.topic()
	sending.KeepAlive = keepAliveLimit * time.Second / 2
	receiver, sender := p.connect(mqtt.Config{KeepAlive: sending.KeepAlive}), p.connect(sending)
	sub := p.subscribe(receiver, topic, qos)
	for i := range messages {
		_, err := sender.PublishAsync(p.ctx, &mqtt.Message{Topic: topic, Payload: fmt.Append(nil, i), QoS: qos})
		require.NoError(p, err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	if err := sender.Flush(ctx); err != nil {
		p.Log(err)
		return false
	}
	defer func() { require.NoError(p, errors.Join(receiver.Close(), sender.Close())) }()
	for i := range messages {
		m, err := p.await(sub)
		if err != nil || string(m.Payload) != fmt.Sprint(i) {
			p.Logf("QoS %d: not message %d but %v, %v", qos, i, m, err)
			return false
		}
	}
	return true
}
