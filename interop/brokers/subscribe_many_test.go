package brokers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
)

// One of them is subscribed to last.
const manyFilters = 9_999

var manySubscriptions = behaviour{
	group: "Subscribing", name: "10,000 filters of one client",
	what:  "a client subscribes to 10,000 filters, gets a message of each, and again after a cut",
	slow:  []string{"RabbitMQ", "mochi"},
	probe: probeManySubscriptions,
	departures: []departure{
		{broker: "NATS", verdict: "refuses the subscription", why: "`max_ack_pending` (1,024) times the filters of a client at QoS 1 and 2 may be 65,535, so that it takes 63; lower it for more"},
		{broker: "RabbitMQ", verdict: "takes long", or: []verdict{yes, "a message is lost"}, why: "each filter is a binding of its own; give Subscribe some minutes"},
		{broker: "mochi", verdict: "takes long", or: []verdict{yes, "a message is lost"}, why: "its store writes each filter by itself; give Subscribe some minutes"},
	},
}

func probeManySubscriptions(p *probe) verdict {
	base := p.topic()
	proxy := faultproxy.New(p, strings.TrimPrefix(p.url, "mqtt://"))
	receiver := p.connect(mqtt.Config{}, proxy.URL())
	sender := p.connect(mqtt.Config{})
	filters := make([]mqtt.Filter, manyFilters)
	for i := range filters {
		filters[i] = mqtt.Filter{Filter: fmt.Sprintf("%s/%d", base, i), QoS: mqtt.AtLeastOnce}
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	sub, err := receiver.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: filters})
	if errors.Is(err, context.DeadlineExceeded) {
		return "takes long"
	}
	p.must(err, "refuses the subscription")
	p.publishToAll(sender, sub, filters, "before")
	proxy.Drop()
	if _, err := receiver.Subscribe(ctx, base+"/behind", mqtt.AtLeastOnce); err != nil { // behind those that are renewed
		p.Log(err)
		return "takes long"
	}
	p.publishToAll(sender, sub, filters, "after")
	return yes
}

// publishToAll publishes to each filter, a few at a time: brokers drop what does not fit
// into the queue of a subscriber.
func (p *probe) publishToAll(sender *mqtt.Client, sub *mqtt.Subscription, filters []mqtt.Filter, what string) {
	for few := range slices.Chunk(filters, 100) {
		for _, f := range few {
			m := &mqtt.Message{Topic: f.Filter, Payload: []byte(what), QoS: mqtt.AtLeastOnce}
			_, err := sender.PublishAsync(p.ctx, m)
			require.NoError(p, err)
		}
		p.must(sender.Flush(p.ctx), "refuses a message")
		come := map[string]bool{}
		for len(come) < len(few) {
			if m := p.next(sub); string(m.Payload) == what {
				come[m.Topic] = true
			}
		}
	}
}
