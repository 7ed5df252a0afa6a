package brokers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var qosOfBoth = behaviour{
	group: "Messages", name: "every QoS",
	what:  "a message comes with the lower of the QoS of publisher and subscriber, for each of the nine pairs",
	probe: probeQoSOfBoth,
	departures: []departure{
		{broker: "RabbitMQ", verdict: "2 for 2 as 1", why: "QoS 2 counts as QoS 1: the documentation of its MQTT plugin"},
	},
}

// levels are all QoS.
var levels = []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce, mqtt.ExactlyOnce}

func probeQoSOfBoth(p *probe) verdict {
	client, publisher := p.connect(mqtt.Config{}), p.connect(mqtt.Config{})
	var others []string
	for _, subscribed := range levels {
		for _, published := range levels {
			topic := p.topic()
			sub := p.subscribe(client, topic, subscribed)
			p.publish(publisher, text(topic, "hello", published))
			m := p.next(sub)
			require.Equal(p, "hello", string(m.Payload))
			if m.QoS != min(subscribed, published) {
				others = append(others, fmt.Sprintf("%d for %d as %d", published, subscribed, m.QoS))
			}
			require.NoError(p, sub.Unsubscribe(p.ctx))
		}
	}
	if others != nil {
		return verdict(strings.Join(others, ", "))
	}
	return yes
}

var order = behaviour{
	group: "Messages", name: "keeps the order",
	what:  "200 messages from one client to one topic come in their order, once each, at each QoS",
	probe: probeOrder,
	departures: []departure{
		{broker: "aedes", verdict: "changes the order", or: []verdict{"loses messages", yes}, why: "with its persistence, messages of QoS 2 are completed in the order in which the database answers; seen here"},
	},
}

func probeOrder(p *probe) verdict {
	client, publisher := p.connect(mqtt.Config{}), p.connect(mqtt.Config{})
	for _, qos := range levels {
		topic := p.topic()
		sub := p.subscribe(client, topic, qos)
		var sent []string
		for i := range 200 {
			sent = append(sent, fmt.Sprint(i))
			_, err := publisher.PublishAsync(p.ctx, text(topic, sent[i], qos))
			require.NoError(p, err)
		}
		p.publish(publisher, text(topic, "last", qos))
		if got := p.until(sub, "last"); !slices.Equal(got, sent) {
			p.Log(qos, got)
			return difference(sent, got)
		}
	}
	return yes
}

// difference says what became of messages that were sent in this order.
func difference(sent, got []string) verdict {
	counts := map[string]int{}
	for _, payload := range got {
		counts[payload]++
	}
	for _, payload := range sent {
		switch n := counts[payload]; {
		case n == 0:
			return "loses messages"
		case n > 1:
			return "doubles messages"
		}
	}
	if slices.Equal(sent, got) {
		return yes
	}
	return "changes the order"
}
