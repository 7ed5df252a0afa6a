package mqtttest_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// shout is the program under test: it answers each request in capital letters.
func shout(ctx context.Context, server string, cfg mqtt.Config) error {
	client, err := mqtt.Connect(ctx, server, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	sub, err := client.Subscribe(ctx, "services/shout", mqtt.AtLeastOnce)
	if err != nil {
		return err
	}
	for request, err := range sub.All(ctx) {
		if err != nil {
			return err
		}
		if request.ResponseTopic == "" {
			continue // not a request
		}
		err = client.PublishMessage(ctx, &mqtt.Message{
			Topic:           request.ResponseTopic,
			CorrelationData: request.CorrelationData,
			Payload:         []byte(strings.ToUpper(string(request.Payload))),
			QoS:             mqtt.AtLeastOnce,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A request is answered: with its correlation data, and to the topic that it
// names.
func TestExampleRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- shout(ctx, b.URL(), mqtt.Config{Dial: b.Dial}) }()
		b.WantSubscribed("services/shout")

		request := func(payload, responseTopic, correlation string) {
			b.Publish(&wire.Publish{
				Topic:   "services/shout",
				Payload: []byte(payload),
				Properties: &wire.PublishProperties{
					ResponseTopic:   responseTopic,
					CorrelationData: []byte(correlation),
				},
			})
		}
		request("hello", "answers/me", "1")
		request("anybody there?", "answers/you", "2")
		request("thanks", "", "")

		answer := b.WantPublished("answers/me", "HELLO")[0]
		require.Equal(t, "1", string(answer.Properties.CorrelationData))
		answer = b.WantPublished("answers/you", "ANYBODY THERE?")[0]
		require.Equal(t, "2", string(answer.Properties.CorrelationData))

		// What is no request gets no answer, however long one waits.
		time.Sleep(time.Hour)
		require.Len(t, b.WantPublished("#"), 2)

		stop()
		require.ErrorIs(t, <-stopped, context.Canceled)
		b.WantNoLeak()
	})
}
