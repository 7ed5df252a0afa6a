package brokers

import (
	"github.com/seed65a45251/mqtt"
)

var retained = behaviour{
	group: "Retained messages", name: "retains a message",
	what:  "a later subscriber gets the last retained message with the flag, an earlier one without; an empty one removes it; at each QoS",
	probe: probeRetained,
	departures: []departure{
		{broker: "mochi", verdict: "sets the flag for all", or: []verdict{"repeats messages", "does not remove it", "keeps the old one", yes}, why: "subscribers that were there before get the message with the retain flag on as well ([MQTT-3.3.1-9]); seen here"},
	},
}

// retain is a message that is to be retained.
func retain(topic, payload string, qos mqtt.QoS) *mqtt.Message {
	m := text(topic, payload, qos)
	m.Retain = true
	return m
}

func probeRetained(p *probe) verdict {
	publisher := p.connect(mqtt.Config{})
	for _, qos := range levels {
		topic := p.topic()
		early := p.subscribe(p.connect(mqtt.Config{}), topic, qos)
		p.publish(publisher, retain(topic, "old", qos))
		p.publish(publisher, retain(topic, "new", qos))
		for _, want := range []string{"old", "new"} {
			m := p.next(early)
			switch {
			case m.Retain:
				return "sets the flag for all"
			case string(m.Payload) != want:
				return "repeats messages"
			}
		}
		p.alive(publisher) // at QoS 0 nothing else says that the server has it
		m := p.nextOr(p.subscribe(p.connect(mqtt.Config{}), topic, qos), "does not send it")
		switch {
		case string(m.Payload) != "new":
			return "keeps the old one"
		case !m.Retain:
			return "leaves the flag out"
		}
		p.publish(publisher, retain(topic, "", qos))
		p.alive(publisher)
		sub := p.subscribe(p.connect(mqtt.Config{}), topic, mqtt.AtLeastOnce)
		p.publish(publisher, text(topic, "fence", mqtt.AtLeastOnce))
		if string(p.next(sub).Payload) != "fence" {
			return "does not remove it"
		}
	}
	return yes
}

var retainedByWildcard = behaviour{
	group: "Retained messages", name: "finds it by wildcards",
	what:  "a subscriber with + or # gets the retained messages of all topics that match",
	probe: probeRetainedByWildcard,
	departures: []departure{
		{broker: "RabbitMQ", verdict: "finds none", why: "its store of retained messages knows topics, not filters: the documentation of its MQTT plugin"},
	},
}

func probeRetainedByWildcard(p *probe) verdict {
	publisher, topic := p.connect(mqtt.Config{}), p.topic()
	for _, level := range []string{"a", "b"} {
		p.publish(publisher, retain(topic+"/"+level, level, mqtt.AtLeastOnce))
	}
	for _, wildcard := range []string{"/+", "/#"} {
		sub := p.subscribe(p.connect(mqtt.Config{}), topic+wildcard, mqtt.AtLeastOnce)
		missing := map[string]bool{"a": true, "b": true}
		for len(missing) > 0 {
			delete(missing, string(p.nextOr(sub, "finds none").Payload))
		}
	}
	return yes
}
