package brokers

import (
	"bytes"
	"context"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var payload1 = behaviour{
	group: "Payloads and topics", name: "payload of 1 MiB",
	what:  "a message of QoS 1 with 1 MiB arrives byte for byte, and a small one behind it",
	probe: func(p *probe) verdict { return probePayload(p, 1) },
	departures: []departure{
		{broker: "NATS", verdict: "hangs up", why: "`max_payload` is 1 MiB with the topic, and can be up to 64 MiB"},
	},
}

var payload16 = behaviour{
	group: "Payloads and topics", name: "payload of 16 MiB",
	what:  "the same with 16 MiB",
	probe: func(p *probe) verdict { return probePayload(p, 16) },
	departures: []departure{
		{broker: "NATS", verdict: "hangs up", why: "`max_payload` is 1 MiB with the topic, and can be up to 64 MiB"},
		{broker: "ours", versions: only5, verdict: "packet too large", why: "`MaximumPacketSize` is 16 MiB with the header"},
		{broker: "ours", versions: before5, verdict: "hangs up", why: "`MaximumPacketSize` is 16 MiB with the header, which it cannot announce before 5.0"},
	},
}

// One version is enough for the largest: nothing about its payload depends on that, and
// each copy of it takes 100 MiB of a small machine.
var payload100 = behaviour{
	group: "Payloads and topics", name: "payload of 100 MiB",
	what:     "the same with 100 MiB",
	versions: []mqtt.Version{mqtt.V311},
	probe:    func(p *probe) verdict { return probePayload(p, 100) },
	slow:     []string{"RabbitMQ", "mochi"},
	departures: []departure{
		{broker: "NATS", verdict: "hangs up", why: "`max_payload` is 1 MiB with the topic, and can be up to 64 MiB"},
		{broker: "ours", verdict: "hangs up", why: "`MaximumPacketSize` is 16 MiB with the header"},
	},
}

func probePayload(p *probe, mebibytes int) verdict {
	topic := p.topic()
	receiver, sender := p.connect(mqtt.Config{}), p.connect(impatient(mqtt.Config{}))
	sub := p.subscribe(receiver, topic, mqtt.AtLeastOnce)
	payload := noise(mebibytes << 20)
	if err := p.publishSlowly(sender, &mqtt.Message{Topic: topic, Payload: payload, QoS: mqtt.AtLeastOnce}); err != nil {
		p.Log(err)
		p.publish(sender, &mqtt.Message{Topic: topic, Payload: []byte("small"), QoS: mqtt.AtLeastOnce})
		require.Equal(p, "small", string(p.next(sub).Payload), "what was refused came all the same")
		return reasonOf(err)
	}
	require.True(p, bytes.Equal(payload, p.next(sub).Payload), "the payload has changed")
	p.publish(sender, &mqtt.Message{Topic: topic, Payload: []byte("small"), QoS: mqtt.AtLeastOnce})
	require.Equal(p, "small", string(p.next(sub).Payload))
	return yes
}

// publishSlowly publishes a message that the broker may refuse by hanging up, which the
// client believes after a few connections.
func (p *probe) publishSlowly(c *mqtt.Client, m *mqtt.Message) error {
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Minute)
	defer cancel()
	err := c.PublishMessage(ctx, m)
	require.NoError(p, ctx.Err(), "the client neither publishes nor gives up")
	return err
}

// noise returns bytes that no compression makes smaller.
func noise(n int) []byte {
	var seed [32]byte
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(b) // never fails
	return b
}
