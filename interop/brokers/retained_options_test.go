package brokers

import (
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var retainOptions = behaviour{
	group: "Retained messages", name: "retain options of 5.0",
	what:     "Retain Handling 1 and 2 and Retain As Published do what they say",
	versions: only5,
	probe:    probeRetainOptions,
	departures: []departure{
		{broker: "mochi", verdict: "Retain Handling 2 has no effect", or: []verdict{"Retain Handling 1 has no effect", yes}, why: "seen here"},
	},
}

func probeRetainOptions(p *probe) verdict {
	publisher, topic := p.connect(mqtt.Config{}), p.topic()
	p.publish(publisher, retain(topic, "retained", mqtt.AtLeastOnce))
	// sends subscribes with options and says whether the retained message comes, which
	// may be late if it is expected.
	sends := func(cfg mqtt.Config, f mqtt.Filter, expected bool) bool {
		f.Filter, f.QoS = topic, mqtt.AtLeastOnce
		client := p.connect(cfg)
		sub := p.subscribeWith(client, mqtt.SubscribeOptions{Filters: []mqtt.Filter{f}})
		p.publish(publisher, text(topic, "fence", mqtt.AtLeastOnce))
		got := p.until(sub, "fence")
		if len(got) == 0 && expected {
			got = p.some(sub, 1, "does not send it")
		}
		require.NoError(p, client.Disconnect(p.ctx))
		return len(got) > 0
	}
	again := mqtt.Config{ClientID: p.name(), Resume: true}
	switch {
	case sends(mqtt.Config{}, mqtt.Filter{RetainHandling: mqtt.DontSendRetained}, false):
		return "Retain Handling 2 has no effect"
	case !sends(again, mqtt.Filter{RetainHandling: mqtt.SendRetainedIfNew}, true):
		return "Retain Handling 1 leaves out too much"
	case sends(again, mqtt.Filter{RetainHandling: mqtt.SendRetainedIfNew}, false):
		return "Retain Handling 1 has no effect"
	}
	sub := p.subscribeWith(p.connect(mqtt.Config{}), mqtt.SubscribeOptions{Filters: []mqtt.Filter{
		{Filter: topic, QoS: mqtt.AtLeastOnce, RetainAsPublished: true, RetainHandling: mqtt.DontSendRetained},
	}})
	p.publish(publisher, retain(topic, "retained", mqtt.AtLeastOnce))
	if !p.next(sub).Retain {
		return "Retain As Published has no effect"
	}
	return yes
}

var noLocal = behaviour{
	group: "Subscriptions", name: "No Local",
	what:     "a client that asks for it does not get what it has published itself",
	versions: only5,
	probe:    probeNoLocal,
}

func probeNoLocal(p *probe) verdict {
	client, topic := p.connect(mqtt.Config{}), p.topic()
	sub := p.subscribeWith(client, mqtt.SubscribeOptions{Filters: []mqtt.Filter{
		{Filter: topic, QoS: mqtt.AtLeastOnce, NoLocal: true},
	}})
	p.publish(client, text(topic, "own", mqtt.AtLeastOnce))
	p.publish(p.connect(mqtt.Config{}), text(topic, "other", mqtt.AtLeastOnce))
	if string(p.next(sub).Payload) != "other" {
		return "has no effect"
	}
	return yes
}
