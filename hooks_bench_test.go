//go:build !race

package mqtt_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// nosy is a hook that wants to know everything and does nothing with it.
var nosy = mqtt.Hook{
	Publish: func(ctx context.Context, _ *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
		return ctx, func(mqtt.Ack, error) {}
	},
	Consume: func(ctx context.Context, _ *mqtt.ConsumeInfo) (context.Context, func(error)) {
		return ctx, func(error) {}
	},
}

// marking is a hook that adds a user property, as the context of a trace is one.
var marking = mqtt.Hook{
	Publish: func(ctx context.Context, m *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
		m.AddUserProperty("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		return ctx, nil
	},
}

// onFirehose runs f with clients of a firehose that have no hook, and with others.
func onFirehose(b *testing.B, f func(b *testing.B, c *mqtt.Client), hooks ...[]mqtt.Hook) {
	for _, list := range hooks {
		b.Run(fmt.Sprint(len(list)), func(b *testing.B) {
			fire := newFirehose(b, &wire.Publish{Topic: "bench/topic", Payload: make([]byte, 256),
				Properties: &wire.PublishProperties{SubscriptionIDs: []uint32{1}}})
			client, err := mqtt.Connect(b.Context(), "mqtt://firehose", mqtt.Config{Hooks: list,
				Dial: func(context.Context, string, string) (net.Conn, error) { return fire, nil }})
			require.NoError(b, err)
			defer client.Close()
			b.ReportAllocs()
			f(b, client)
		})
	}
}

// BenchmarkHooksPublish publishes at QoS 0 with none, one and two hooks, of which the second
// adds a user property.
func BenchmarkHooksPublish(b *testing.B) {
	onFirehose(b, func(b *testing.B, c *mqtt.Client) {
		payload := make([]byte, 256)
		for b.Loop() {
			if c.Publish(b.Context(), "sensors/7/temperature", payload, mqtt.AtMostOnce) != nil {
				b.Fatal("not published")
			}
		}
	}, nil, []mqtt.Hook{nosy}, []mqtt.Hook{nosy, marking})
}

func BenchmarkHooksPublishAsync(b *testing.B) {
	onFirehose(b, func(b *testing.B, c *mqtt.Client) {
		m := &mqtt.Message{Topic: "sensors/7/temperature", Payload: make([]byte, 256)}
		for b.Loop() {
			if _, err := c.PublishAsync(b.Context(), m); err != nil {
				b.Fatal(err)
			}
		}
	}, nil, []mqtt.Hook{nosy}, []mqtt.Hook{nosy, marking})
}

func BenchmarkHooksNext(b *testing.B) {
	onFirehose(b, func(b *testing.B, c *mqtt.Client) {
		sub, err := c.SubscribeWith(b.Context(), mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "bench/#"}}, Overflow: mqtt.Block})
		require.NoError(b, err)
		for b.Loop() {
			if _, err := sub.Next(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}, nil, []mqtt.Hook{nosy})
}

func BenchmarkHooksHandle(b *testing.B) {
	onFirehose(b, func(b *testing.B, c *mqtt.Client) {
		enough := fmt.Errorf("enough")
		err := c.Handle(b.Context(), mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "bench/#"}}, Overflow: mqtt.Block, Lend: true},
			func(context.Context, *mqtt.Message) error {
				if !b.Loop() {
					return enough
				}
				return nil
			})
		require.ErrorIs(b, err, enough)
	}, nil, []mqtt.Hook{nosy})
}
