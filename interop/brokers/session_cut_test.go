package brokers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
)

var sessionCut = behaviour{
	group: "Sessions", name: "survives cuts",
	what:     "while both lines are cut at random, no message of QoS 1 is lost, and those of QoS 2 come once and in order",
	versions: newer,
	probe:    probeSessionCut,
	departures: []departure{
		{broker: "NATS", verdict: "changes the order of QoS 1", or: []verdict{"changes the order of QoS 2", yes}, patience: 45 * time.Second, why: "what was not acknowledged at the cut comes again after ack_wait, 30 seconds by default, behind newer messages"},
		{broker: "RabbitMQ", verdict: "doubles messages of QoS 2", or: []verdict{"never takes all messages", "loses messages of QoS 1", yes}, why: "QoS 2 counts as QoS 1"},
		{broker: "mochi", verdict: "loses messages of QoS 1", or: []verdict{"loses messages of QoS 2", "changes the order of QoS 1", "changes the order of QoS 2", "doubles messages of QoS 2", "a message is lost", yes}, why: "messages that wait for an acknowledgement are lost or come in another order; seen here"},
		{broker: "aedes", verdict: "changes the order of QoS 1", or: []verdict{"loses messages of QoS 1", "doubles messages of QoS 2", "loses messages of QoS 2", "changes the order of QoS 2", yes}, why: "what is repeated comes between what is new; seen here"},
	},
}

func probeSessionCut(p *probe) verdict {
	messages := 150
	if *long {
		messages = 5_000
	}
	for _, qos := range []mqtt.QoS{mqtt.AtLeastOnce, mqtt.ExactlyOnce} {
		sent, got := p.throughCuts(qos, messages)
		if qos == mqtt.AtLeastOnce {
			got = compact(got) // repeats are allowed
		}
		if v := difference(sent, got); v != yes {
			p.Log(qos, got)
			return verdict(fmt.Sprintf("%s of QoS %d", v, qos))
		}
	}
	return yes
}

// throughCuts publishes messages and returns them, and those that were received, in
// order.
func (p *probe) throughCuts(qos mqtt.QoS, messages int) (sent, got []string) {
	topic := p.topic()
	up, down := p.line(), p.line()
	subscriber := p.connect(mqtt.Config{ClientID: p.name(), Resume: true, Reconnect: quick}, down.URL())
	sub := p.subscribe(subscriber, topic, qos)
	publisher := p.connect(mqtt.Config{ClientID: p.name(), Resume: true, Reconnect: quick}, up.URL())
	for i, line := range []*faultproxy.Proxy{up, down} {
		line.RandomCuts(uint64(i+1), 300, 3000)
		line.Drop()
	}
	for i := range messages {
		sent = append(sent, fmt.Sprint(i))
		_, err := publisher.PublishAsync(p.ctx, text(topic, sent[i], qos))
		require.NoError(p, err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, 4*p.patience)
	defer cancel()
	p.must(publisher.Flush(ctx), "never takes all messages")
	for i, line := range []*faultproxy.Proxy{up, down} {
		line.RandomCuts(uint64(i+1), 0, 0)
	}
	down.Drop() // the next connection stays
	p.publish(publisher, text(topic, "last", qos))
	got = p.allOf(sub, sent)
	p.leave(publisher)
	p.leave(subscriber)
	return sent, got
}

// allOf returns what arrives until all messages have, or no more come, or the last one
// has come behind all others.
func (p *probe) allOf(sub *mqtt.Subscription, sent []string) (got []string) {
	missing := map[string]bool{"last": true}
	for _, payload := range sent {
		missing[payload] = true
	}
	for len(missing) > 0 {
		m, err := p.await(sub)
		if err != nil {
			p.Log(len(missing), "are missing:", err)
			break
		}
		delete(missing, string(m.Payload))
		if string(m.Payload) != "last" {
			got = append(got, string(m.Payload))
		}
	}
	return got
}

// compact leaves out the repeats of messages that were seen before.
func compact(payloads []string) (once []string) {
	for _, payload := range payloads {
		if !slices.Contains(once, payload) {
			once = append(once, payload)
		}
	}
	return once
}
