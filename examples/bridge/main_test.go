package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/mqtttest"
)

func TestBridge(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, "", "", "bridge/#"))
	require.Equal(t, "bridge/greeting: hello\nbridge/greeting: hello back\n", out.String())
}

// Each message gets to the other side once, and none comes back.
func TestBridgeWithMosquitto(t *testing.T) {
	here, there := mqtttest.NewBroker(t), mosquitto.Start(t, mosquitto.Options{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	urls := []string{here.URL(), there.URL()}
	var clients []*mqtt.Client
	var subs []*mqtt.Subscription
	for _, url := range urls {
		client, err := mqtt.Connect(ctx, url, mqtt.Config{})
		require.NoError(t, err)
		defer client.Close()
		sub, err := client.Subscribe(ctx, "site/7/#", mqtt.ExactlyOnce)
		require.NoError(t, err)
		clients, subs = append(clients, client), append(subs, sub)
	}
	go func() { ended <- run(ctx, io.Discard, urls[0], urls[1], "site/7/#") }()
	here.WantSubscribed("site/7/#", "bridge")

	// The bridge has subscribed at Mosquitto when a message passes.
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for {
			m, err := subs[0].Next(ctx)
			if err != nil || string(m.Payload) == "are you there" {
				return
			}
		}
	}()
	for asking := true; asking; {
		require.NoError(t, clients[1].Publish(ctx, "site/7/ask", []byte("are you there"), mqtt.AtLeastOnce))
		select {
		case <-passed:
			asking = false
		default:
		}
	}
	for i, client := range clients {
		for n := range 20 {
			require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{
				Topic: "site/7/x", Payload: fmt.Append(nil, n), QoS: mqtt.ExactlyOnce, ContentType: fmt.Sprint("from ", i)}))
		}
	}
	for _, sub := range subs {
		next := map[string]int{}
		for next["from 0"] < 20 || next["from 1"] < 20 {
			m, err := sub.Next(ctx)
			require.NoError(t, err)
			if m.Topic == "site/7/ask" {
				continue
			}
			require.Equal(t, fmt.Sprint(next[m.ContentType]), string(m.Payload), "each once, in order")
			next[m.ContentType]++
		}
	}
	// What had come back would be before this.
	for i, client := range clients {
		require.NoError(t, client.Publish(ctx, "site/7/end", fmt.Append(nil, i), mqtt.ExactlyOnce))
	}
	for _, sub := range subs {
		for ends := 0; ends < 2; {
			m, err := sub.Next(ctx)
			require.NoError(t, err)
			if m.Topic != "site/7/ask" {
				require.Equal(t, "site/7/end", m.Topic)
				ends++
			}
		}
	}
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}
