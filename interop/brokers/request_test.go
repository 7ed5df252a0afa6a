package brokers

import (
	"context"
	"fmt"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var requestResponse = behaviour{
	group: "Request and response", name: "100 requests at once",
	what:  "each gets its own response; before 5.0 on a topic that both sides have agreed on",
	probe: probeRequests,
}

func probeRequests(p *probe) verdict {
	const requests = 100
	topic, answers := p.topic(), p.topic()
	asking, answering := p.connect(mqtt.Config{}), p.connect(mqtt.Config{})
	ctx, stop := context.WithCancel(p.ctx)
	defer stop()
	ready, over := make(chan struct{}), make(chan error, 1)
	o := mqtt.RespondOptions{SubscribeOptions: mqtt.SubscribeOptions{
		Filters:    []mqtt.Filter{{Filter: topic, QoS: mqtt.AtLeastOnce}},
		Subscribed: func(*mqtt.Subscription) { close(ready) },
	}}
	go func() {
		over <- answering.RespondWith(ctx, o, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			return &mqtt.Message{Topic: answers, Payload: append([]byte("re: "), m.Payload...)}, nil
		})
	}()
	select {
	case <-ready:
	case err := <-over:
		p.must(err, "refuses the subscription")
	}
	asked, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	var all sync.WaitGroup
	failed := make(chan error, requests)
	for i := range requests {
		all.Go(func() {
			m := &mqtt.Message{Topic: topic, Payload: fmt.Append(nil, i), QoS: mqtt.AtLeastOnce}
			if p.version != mqtt.V5 {
				m.ResponseTopic = answers
			}
			response, err := asking.Request(asked, m)
			if err == nil && string(response.Payload) != fmt.Sprintf("re: %d", i) {
				err = fmt.Errorf("request %d got %q", i, response.Payload)
			}
			if err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		p.must(err, "a response is lost")
	}
	stop()
	require.ErrorIs(p, <-over, context.Canceled)
	return yes
}
