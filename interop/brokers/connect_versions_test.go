package brokers

import (
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var versionsSpoken = behaviour{
	group: "Connecting", name: "speaks the version",
	what:  "a client that insists on the version of MQTT gets in",
	every: true,
	probe: probeVersionsSpoken,
	departures: []departure{
		{broker: "RabbitMQ", versions: only5, verdict: "hangs up", why: "5.0 came with RabbitMQ 3.13; this one takes CONNECT for malformed, as its log says"},
		{broker: "NATS", versions: only5, verdict: "unsupported protocol version", why: "NATS speaks 3.1.1 alone, as its documentation says"},
		{broker: "NATS", versions: []mqtt.Version{mqtt.V31}, verdict: "hangs up", why: "NATS takes the protocol name of 3.1 for malformed"},
		{broker: "aedes", versions: only5, verdict: "unsupported protocol version", why: "aedes speaks 3.1 and 3.1.1, as its documentation says"},
	},
}

func probeVersionsSpoken(p *probe) verdict {
	client, err := p.try(mqtt.Config{})
	if err != nil {
		p.Log(err)
		return reasonOf(err)
	}
	require.Equal(p, p.version, client.ServerInfo().Version)

	// Auto takes the newest version that the server speaks, which is this one or newer.
	auto, err := mqtt.Connect(p.ctx, p.url, mqtt.Config{ClientID: p.name(), TLS: p.tls, Username: p.user, Password: mqtt.Secret(p.secret)})
	require.NoError(p, err)
	defer auto.Close()
	require.GreaterOrEqual(p, auto.ServerInfo().Version, min(p.version, mqtt.V311))
	require.Equal(p, auto.ServerInfo().Version != mqtt.V5, auto.ServerInfo().Fallback != nil)
	require.False(p, errors.Is(auto.Err(), mqtt.ErrClosed))
	return yes
}
