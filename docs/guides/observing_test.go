package guides_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

func healthy(ctx context.Context, client *mqtt.Client) error {
	// <ping>
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := client.Ping(ctx) // how far away the server is; ErrNotConnected without a connection
	// </ping>
	return err
}

func slowHandlers(log *slog.Logger) mqtt.Config {
	// <hook>
	cfg := mqtt.Config{Hooks: []mqtt.Hook{{
		Consume: func(ctx context.Context, m *mqtt.ConsumeInfo) (context.Context, func(error)) {
			began, topic := time.Now(), m.Message.Topic
			return ctx, func(err error) {
				if took := time.Since(began); took > time.Second || err != nil {
					log.Warn("slow or failed", "topic", topic, "took", took, "error", err)
				}
			}
		},
	}}}
	// </hook>
	return cfg
}

func queues(client *mqtt.Client, log *slog.Logger) {
	// <stats>
	s := client.Stats()
	log.Info("mqtt",
		"queued", s.Queued, "inflight", s.Inflight, // on the way to the server
		"held", s.Held.Messages, "oldest", s.Held.Age, // not acknowledged
		"lost", s.Lost, "up", s.Up)
	// </stats>
}

func TestObserving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		log := slog.New(slog.DiscardHandler)
		cfg := slowHandlers(log)
		cfg.Dial = b.Dial
		client, err := mqtt.Connect(t.Context(), b.URL(), cfg)
		require.NoError(t, err)
		require.NoError(t, healthy(t.Context(), client))
		sub, err := client.Subscribe(t.Context(), "t", mqtt.AtMostOnce)
		require.NoError(t, err)
		require.NoError(t, client.Publish(t.Context(), "t", nil, mqtt.AtMostOnce))
		_, err = sub.Next(t.Context())
		require.NoError(t, err)
		queues(client, log)
		require.NoError(t, client.Close())
		require.ErrorIs(t, healthy(t.Context(), client), mqtt.ErrClosed)
	})
}
