package brokers

import (
	"fmt"

	"github.com/seed65a45251/mqtt"
)

var overlap = behaviour{
	group: "Subscriptions", name: "overlapping subscriptions",
	what:  "two Subscriptions of a client that both match a message get it once each",
	probe: probeOverlap,
	departures: []departure{
		{broker: "NATS", verdict: "2 times each", why: "a copy comes for each subscription, without an identifier that tells which; a Subscription with OwnConnection gets it once"},
	},
}

func probeOverlap(p *probe) verdict {
	client, publisher, topic := p.connect(mqtt.Config{}), p.connect(mqtt.Config{}), p.topic()
	both := []*mqtt.Subscription{
		p.subscribe(client, topic+"/+", mqtt.AtLeastOnce),
		p.subscribe(client, topic+"/a", mqtt.AtLeastOnce),
	}
	for _, payload := range []string{"message", "between", "last"} {
		p.publish(publisher, text(topic+"/a", payload, mqtt.AtLeastOnce))
	}
	copies := 1
	for _, sub := range both {
		n := 0
		for _, payload := range p.until(sub, "last") {
			if payload == "message" {
				n++
			}
		}
		copies = max(copies, n)
	}
	if copies > 1 {
		return verdict(fmt.Sprintf("%d times each", copies))
	}
	return yes
}
