package brokers

import (
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var subscriptionIdentifiers = behaviour{
	group: "Properties of 5.0", name: "subscription identifiers",
	what:     "a message says for which of several overlapping filters it comes",
	versions: only5,
	probe:    probeSubscriptionIdentifiers,
}

func probeSubscriptionIdentifiers(p *probe) verdict {
	topic := p.topic()
	client := p.connect(mqtt.Config{})
	if client.ServerInfo().Limits.NoSubscriptionIDs {
		return "has none"
	}
	exact := p.subscribe(client, topic+"/a", mqtt.AtLeastOnce)
	wild := p.subscribe(client, topic+"/+", mqtt.AtLeastOnce)
	p.publish(client, &mqtt.Message{Topic: topic + "/a", QoS: mqtt.AtLeastOnce})
	p.publish(client, &mqtt.Message{Topic: topic + "/b", QoS: mqtt.AtLeastOnce})
	for _, want := range []string{topic + "/a", topic + "/b"} {
		m := p.next(wild)
		require.Equal(p, want, m.Topic, "each Subscription gets a message once")
		if len(m.SubscriptionIDs) == 0 {
			return "leaves it out"
		}
	}
	if m := p.next(exact); len(m.SubscriptionIDs) == 0 {
		return "leaves it out"
	}
	return yes
}
