package brokers

import (
	"context"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt"
)

var shared = behaviour{
	group: "Subscriptions", name: "shared subscriptions",
	what:  "each message for $share/group/filter goes to one of the members, and all take part",
	probe: probeShared,
	departures: []departure{
		{broker: "RabbitMQ", verdict: "nobody gets them", why: "$share is an ordinary level. Consumers of AMQP can share a queue"},
		{broker: "NATS", verdict: "nobody gets them", why: "NATS has queue groups, but not for MQTT clients: its documentation"},
		{broker: "aedes", verdict: "nobody gets them", why: "$share is an ordinary level"},
		{broker: "ours", versions: []mqtt.Version{mqtt.V311, mqtt.V31}, verdict: "nobody gets them", why: "on 5.0 alone, as the specification has it; $share is an ordinary level before"},
	},
}

func probeShared(p *probe) verdict {
	const messages = 40
	topic, publisher := p.topic(), p.connect(mqtt.Config{})
	ordinary := p.subscribe(p.connect(mqtt.Config{}), topic, mqtt.AtLeastOnce)
	var members []*mqtt.Subscription
	for range 2 {
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		defer cancel()
		sub, err := p.connect(mqtt.Config{}).Subscribe(ctx, "$share/group/"+topic, mqtt.AtLeastOnce)
		p.must(err, "refuses it")
		members = append(members, sub)
	}
	// The second batch shows whether more copies of the first have come.
	seen, shares := map[string]int{}, make([]int, len(members))
	for _, batch := range []string{"/a", "/b"} {
		for i := range messages {
			p.publish(publisher, text(topic, fmt.Sprint(i)+batch, mqtt.AtLeastOnce))
		}
		for range messages {
			p.next(ordinary)
		}
		if !p.collect(members, seen, shares, len(seen)+messages) {
			break
		}
	}
	p.Log(shares, len(seen))
	switch {
	case len(seen) == 0:
		return "nobody gets them"
	case len(seen) < 2*messages:
		return "loses messages"
	case shares[0]+shares[1] > 2*messages:
		return "more than one member gets them"
	case shares[0] == 0 || shares[1] == 0:
		return "one member gets all"
	}
	return yes
}

// collect receives until so many different messages have come, and reports whether they
// have.
func (p *probe) collect(members []*mqtt.Subscription, seen map[string]int, shares []int, enough int) bool {
	late := time.NewTimer(p.patience)
	defer late.Stop()
	for len(seen) < enough {
		var m *mqtt.Message
		select {
		case m = <-members[0].Messages():
			shares[0]++
		case m = <-members[1].Messages():
			shares[1]++
		case <-late.C:
			return false
		}
		if m == nil {
			return false // the client has ended
		}
		seen[string(m.Payload)]++
	}
	return true
}
