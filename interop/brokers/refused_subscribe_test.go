package brokers

import (
	"context"
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var refusedSubscribe = behaviour{
	group: "Refusals", name: "a filter that is not permitted",
	what:  "the subscriber is told so, its other filters are granted, and it goes on",
	on:    guarded,
	probe: probeRefusedSubscribe,
	departures: []departure{
		{broker: "Mosquitto", verdict: "grants it all the same", why: "its ACL file is about the messages, which do not come"},
		{broker: "RabbitMQ", verdict: "hangs up", why: "the client finds the filter out and reports it"},
	},
}

func probeRefusedSubscribe(p *probe) verdict {
	client := p.connect(impatient(mqtt.Config{}))
	ctx, cancel := context.WithTimeout(p.ctx, 2*patience)
	defer cancel()
	sub, err := client.Subscribe(ctx, noSubscribe, mqtt.AtLeastOnce)
	require.False(p, errors.Is(err, context.DeadlineExceeded), "the client neither subscribes nor gives up")
	p.goesOn(client)
	if err == nil {
		require.NoError(p, sub.Unsubscribe(p.ctx))
		return "grants it all the same"
	}
	p.Log(err)
	if code, ok := errors.AsType[mqtt.ReasonCode](err); ok && code.Failed() {
		return yes
	}
	return reasonOf(err)
}
