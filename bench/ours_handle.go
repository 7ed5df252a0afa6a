package main

import (
	"context"
	"fmt"
	"os"

	"github.com/seed65a45251/mqtt"
)

func init() {
	receive := []kind{receiving}
	dispatch := []kind{dispatching}
	subscribed := func(s *scenario) bool { return s.subscribed }
	handled = []entry{
		{name: "mqtt-handle", role: ours, kinds: receive, open: openHandling(mqtt.SubscribeOptions{})},
		{name: "mqtt-lent", role: ours, kinds: receive, open: openHandling(mqtt.SubscribeOptions{Lend: true})},
		{name: "mqtt-lent-v311", role: ours, kinds: receive, open: openHandling(mqtt.SubscribeOptions{Lend: true}, mqtt.V311)},
		{name: "mqtt-handle", role: ours, kinds: dispatch, open: openHandling(mqtt.SubscribeOptions{})},
		{name: "mqtt-lent", role: ours, kinds: dispatch, open: openHandling(mqtt.SubscribeOptions{Lend: true})},
		{name: "mqtt-handle", role: ours, kinds: []kind{idling}, only: subscribed, open: openHandling(mqtt.SubscribeOptions{})},
	}
}

// handlingClient receives by Handle.
type handlingClient struct {
	client
	options mqtt.SubscribeOptions
}

func openHandling(o mqtt.SubscribeOptions, version ...mqtt.Version) func(*job) (client, error) {
	o.Overflow = mqtt.Block // see ourClient.subscribe
	return func(j *job) (client, error) {
		c, err := openOurs(ourClient{}, version...)(j)
		return &handlingClient{c, o}, err
	}
}

// subscribe has a Handle for each filter. Handle runs until its context ends, so
// it is the messages that say that all went well.
func (c *handlingClient) subscribe(filters []string, qos byte, t *tally) error {
	for _, f := range filters {
		o := c.options
		o.Filters = []mqtt.Filter{{Filter: f, QoS: mqtt.QoS(qos)}}
		go func() {
			err := c.client.(*ourClient).Handle(context.Background(), o, func(_ context.Context, m *mqtt.Message) error {
				t.message(m.Payload)
				return nil
			})
			if err != nil {
				fmt.Fprintln(os.Stderr, "handle:", err)
				os.Exit(1)
			}
		}()
	}
	return nil
}
