package mosquittotest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// Mosquitto sends 20 messages without an acknowledgement. Batches that hope for more get
// what there is.
func TestBatchesLargerThanMosquittoAllows(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		client := connectTo(t, server.URL(), mqtt.Config{Version: v})
		sub := subscribeTo(t, client, "batches", mqtt.ExactlyOnce)
		const n = 300
		for qos, wait := range map[mqtt.QoS]time.Duration{mqtt.AtLeastOnce: 0, mqtt.ExactlyOnce: time.Millisecond} {
			for i := range n {
				m := &mqtt.Message{Topic: "batches", Payload: strconv.AppendInt(nil, int64(i), 10), QoS: qos}
				_, err := client.PublishAsync(testContext(t), m)
				require.NoError(t, err)
			}
			next := 0
			ctx, cancel := context.WithCancel(testContext(t))
			err := sub.HandleBatches(ctx, mqtt.BatchOptions{Messages: 100, Wait: wait}, func(_ context.Context, batch []*mqtt.Message) error {
				for _, m := range batch {
					if want := fmt.Sprint(next); want != string(m.Payload) {
						return fmt.Errorf("got %s, want %s", m.Payload, want)
					}
					if next++; next == n {
						cancel()
					}
				}
				return nil
			})
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

// None of what was refused or became a dead letter comes again in the next process.
func TestMosquittoTakesRefusalsAndDeadLetters(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		client := connectTo(t, server.URL(), keeping(v, "refusing"))
		other := connectTo(t, server.URL(), mqtt.Config{Version: v})
		dead := subscribeTo(t, other, "dead/#", mqtt.AtLeastOnce)
		sub, err := client.SubscribeWith(testContext(t), mqtt.SubscribeOptions{
			Filters:   []mqtt.Filter{{Filter: "jobs", QoS: mqtt.ExactlyOnce}},
			OnFailure: &mqtt.FailurePolicy{Attempts: 2, Backoff: eager, DeadLetter: "dead/#"},
		})
		require.NoError(t, err)
		for _, payload := range []string{"refused", "failing", "last"} {
			for _, qos := range everyQoS[1:] {
				publish(t, other, "jobs", payload, qos)
			}
		}
		calls := make(map[string]int)
		ctx, cancel := context.WithCancel(testContext(t))
		err = sub.Handle(ctx, func(_ context.Context, m *mqtt.Message) error {
			payload := string(m.Payload)
			calls[payload]++
			switch {
			case payload == "refused":
				return &mqtt.Refusal{ReasonCode: mqtt.QuotaExceeded, ReasonString: "no more of these"}
			case payload == "failing":
				return errors.New("out of order")
			case calls["last"] == 2:
				cancel()
			}
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, map[string]int{"refused": 2, "failing": 4, "last": 2}, calls)
		for range 2 {
			m := receive(t, dead)
			require.Equal(t, "dead/jobs", m.Topic)
			require.Equal(t, "failing", string(m.Payload))
			if attempts, ok := m.UserProperty(mqtt.DeadLetterAttempts); client.ServerInfo().Version == mqtt.V5 {
				require.Equal(t, "2", attempts)
			} else {
				require.False(t, ok)
			}
		}
		require.NoError(t, client.Disconnect(testContext(t)))
		later := connectTo(t, server.URL(), keeping(v, "refusing"))
		again := subscribeTo(t, later, "jobs", mqtt.ExactlyOnce)
		publish(t, other, "jobs", "new", mqtt.AtLeastOnce)
		wantPayloads(t, again, "new")
		require.NoError(t, again.Unsubscribe(testContext(t)))
	})
}
