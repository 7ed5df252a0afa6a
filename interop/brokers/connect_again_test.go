package brokers

import "github.com/seed65a45251/mqtt"

var connectAgain = behaviour{
	group: "Sessions", name: "back at once",
	what:     "a client that has left may come back at once, and what it then subscribes stays",
	versions: []mqtt.Version{mqtt.V311},
	probe:    probeConnectAgain,
	departures: []departure{
		{broker: "RabbitMQ", verdict: "cannot connect", or: []verdict{yes}, patience: patience, why: "while it ends the old connection it may hang up on the new one; the client tries again with `Config.RetryFirst`"},
		{broker: "mochi", verdict: "a message is lost", or: []verdict{yes}, why: "the end of the old connection may remove the subscription of the new one; seen here"},
	},
}

func probeConnectAgain(p *probe) verdict {
	topic, id := p.topic(), p.name()
	for range 20 {
		client := p.connect(mqtt.Config{ClientID: id})
		sub := p.subscribe(client, topic, mqtt.AtLeastOnce)
		p.publish(client, text(topic, "hello", mqtt.AtLeastOnce))
		p.next(sub)
		p.leave(client)
	}
	return yes
}
