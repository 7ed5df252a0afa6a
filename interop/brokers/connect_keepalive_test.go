package brokers

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var serverKeepAlive = behaviour{
	group: "Connecting", name: "shortens the keep-alive",
	what:     "a server with a limit of its own tells the client, which keeps to it",
	versions: only5,
	on:       limited,
	probe:    probeServerKeepAlive,
	departures: []departure{
		{broker: "mochi", verdict: "takes any", why: "mochi has no such limit"},
	},
}

func probeServerKeepAlive(p *probe) verdict {
	client := p.connect(mqtt.Config{KeepAlive: 10 * time.Minute})
	switch client.ServerInfo().KeepAlive {
	case keepAliveLimit * time.Second:
		return yes
	case 10 * time.Minute:
		return "takes any"
	}
	return "another"
}

var silentClient = behaviour{
	group: "Connecting", name: "notices a silent client",
	what:  "a client whose line is dead is given up after its keep-alive, and its will is published",
	probe: probeSilentClient,
}

func probeSilentClient(p *probe) verdict {
	topic := p.topic()
	watcher := p.connect(mqtt.Config{})
	sub := p.subscribe(watcher, topic, mqtt.AtLeastOnce)
	line := p.line()
	client := p.connect(mqtt.Config{
		KeepAlive: time.Second,
		Will:      &mqtt.Will{Message: *text(topic, "gone", mqtt.AtLeastOnce)},
	}, line.URL())
	_, err := client.Ping(p.ctx)
	p.must(err, "does not answer pings")
	line.Blackhole(faultBoth)
	require.Equal(p, "gone", string(p.next(sub).Payload))
	return yes
}
