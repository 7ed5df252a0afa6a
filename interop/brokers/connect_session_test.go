package brokers

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var sessionResumed = behaviour{
	group: "Sessions", name: "keeps a session",
	what:  "a client that comes back finds its subscription, and the messages of QoS 1 and 2 that came meanwhile, in order",
	probe: probeSessionResumed,
	departures: []departure{
		{broker: "mochi", verdict: "changes the order", or: []verdict{"loses messages", yes}, why: "waiting messages are in a map, and some are dropped; seen here"},
	},
}

func probeSessionResumed(p *probe) verdict {
	publisher := p.connect(mqtt.Config{})
	for _, qos := range []mqtt.QoS{mqtt.AtLeastOnce, mqtt.ExactlyOnce} {
		topic, cfg := p.topic(), mqtt.Config{ClientID: p.name(), Resume: true}
		client := p.connect(cfg)
		p.subscribe(client, topic, qos)
		p.leave(client)
		sent := p.publishAll(publisher, topic, qos, 5)

		client = p.connect(cfg)
		if !client.ServerInfo().SessionPresent {
			return "loses the session"
		}
		sub, err := client.Route(topic)
		require.NoError(p, err)
		if v := difference(sent, p.some(sub, len(sent), "loses messages")); v != yes {
			return v
		}
		p.leave(client)
	}
	return yes
}

var cleanStart = behaviour{
	group: "Sessions", name: "forgets a session",
	what:     "a clean start ends the session that was there, with its subscriptions",
	versions: newer, // 3.1 does not tell
	probe:    probeCleanStart,
}

func probeCleanStart(p *probe) verdict {
	topic, id := p.topic(), p.name()
	client := p.connect(mqtt.Config{ClientID: id, Resume: true})
	p.subscribe(client, topic, mqtt.AtLeastOnce)
	p.leave(client)

	client = p.connect(mqtt.Config{ClientID: id})
	if client.ServerInfo().SessionPresent {
		return "keeps the session"
	}
	old, err := client.Route(topic)
	require.NoError(p, err)
	fence := p.subscribe(client, topic+"/fence", mqtt.AtLeastOnce)
	for _, t := range []string{topic, topic + "/fence"} {
		p.publish(client, text(t, "", mqtt.AtLeastOnce))
	}
	p.next(fence)
	over, cancel := context.WithCancel(p.ctx)
	cancel()
	if _, err := old.Next(over); err == nil {
		return "keeps the subscription"
	}
	return yes
}

var takeOver = behaviour{
	group: "Sessions", name: "hands over a session",
	what:  "a second client with the identifier of the first takes its place, and on 5.0 the first is told",
	probe: probeTakeOver,
	departures: []departure{
		{broker: "Mosquitto", versions: only5, verdict: "does not say why", why: "the connection ends without a DISCONNECT; seen with 2.0.11"},
	},
}

func probeTakeOver(p *probe) verdict {
	id := p.name()
	first := p.connect(mqtt.Config{ClientID: id})
	events := first.Watch(p.ctx)
	p.connect(mqtt.Config{ClientID: id})
	for {
		select {
		case e := <-events:
			switch {
			case e.Err == nil:
			case p.version == mqtt.V5 && !isReason(e.Err, mqtt.SessionTakenOver):
				p.Log(e.Err)
				return "does not say why"
			default:
				first.Close()
				return yes
			}
		case <-p.ctx.Done():
			return "keeps both"
		}
	}
}
