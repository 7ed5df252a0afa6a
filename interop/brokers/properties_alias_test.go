package brokers

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var topicAliases = behaviour{
	group: "Properties of 5.0", name: "topic aliases to the broker",
	what:     "messages that name their topic by an alias come to the right subscribers",
	versions: only5,
	departures: []departure{
		{broker: "mochi", verdict: "permits none", why: "it announces no maximum"},
	},
	probe: func(p *probe) verdict {
		return probeAliases(p, mqtt.Config{SendTopicAliases: 5}, mqtt.Config{})
	},
}

var topicAliasesBack = behaviour{
	group: "Properties of 5.0", name: "topic aliases from the broker",
	what:     "a client that permits aliases gets every message on its topic",
	versions: only5,
	probe: func(p *probe) verdict {
		return probeAliases(p, mqtt.Config{}, mqtt.Config{TopicAliasMaximum: 5})
	},
}

// probeAliases sends messages on more topics than there are aliases.
func probeAliases(p *probe, sending, receiving mqtt.Config) verdict {
	const topics, rounds = 8, 20
	base := p.topic()
	receiver, sender := p.connect(receiving), p.connect(sending)
	sub := p.subscribe(receiver, base+"/#", mqtt.AtLeastOnce)
	for i := range topics * rounds {
		topic := fmt.Sprintf("%s/%d", base, i%topics)
		if i%3 > 0 {
			topic = base + "/0" // which earns an alias
		}
		p.publish(sender, &mqtt.Message{Topic: topic, Payload: []byte(topic), QoS: mqtt.AtLeastOnce})
	}
	for range topics * rounds {
		m := p.next(sub)
		require.Equal(p, m.Topic, string(m.Payload))
	}
	if sending.SendTopicAliases > 0 && sender.ServerInfo().Limits.TopicAliasMaximum == 0 {
		return "permits none"
	}
	return yes
}

var connectProperties = behaviour{
	group: "Properties of 5.0", name: "user properties of requests",
	what:     "CONNECT, SUBSCRIBE, UNSUBSCRIBE and DISCONNECT may have them",
	versions: only5,
	probe: func(p *probe) verdict {
		props := []mqtt.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}
		client := p.connect(mqtt.Config{UserProperties: props, RequestResponseInformation: true})
		topic := p.topic()
		p.subscribeWith(client, mqtt.SubscribeOptions{
			Filters: []mqtt.Filter{{Filter: topic, QoS: mqtt.AtLeastOnce}}, UserProperties: props,
		})
		_, err := client.UnsubscribeWith(p.ctx, mqtt.UnsubscribeOptions{Filters: []string{topic}, UserProperties: props})
		p.must(err, "refuses the end of a subscription")
		require.NoError(p, client.DisconnectWith(p.ctx, mqtt.DisconnectOptions{UserProperties: props}))
		return yes
	},
}
