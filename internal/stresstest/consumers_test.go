package stresstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	. "github.com/seed65a45251/mqtt/internal/conversation"
)

func TestImpatientConsumersLoseNothingUpToTheEndOfADrain(t *testing.T) {
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			b := broker.New(broker.Config{})
			defer b.Close()
			cfg := mqtt.Config{Version: mqtt.V5, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }}
			client, err := mqtt.Connect(t.Context(), "mqtt://b", cfg)
			require.NoError(t, err)
			defer client.Close()
			sub, err := client.Subscribe(t.Context(), "t", mqtt.AtLeastOnce)
			require.NoError(t, err)
			const n = 500
			var got atomic.Int64
			var consumers []*Call
			for i := range 5 {
				if i == 4 {
					consumers = append(consumers, Begin(func() error {
						for range sub.Messages() {
							got.Add(1)
						}
						return nil
					}))
					continue
				}
				consumers = append(consumers, Begin(func() error {
					for {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(3)))
						_, err := sub.Next(ctx)
						cancel()
						switch {
						case err == nil:
							got.Add(1)
						case errors.Is(err, mqtt.ErrUnsubscribed):
							return nil
						case !errors.Is(err, context.DeadlineExceeded):
							return err
						default:
							wait := time.NewTimer(time.Microsecond)
							<-wait.C
						}
					}
				}))
			}
			for i := range n {
				m := &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: mqtt.QoS(i % 3)}
				_, err := client.PublishAsync(t.Context(), m)
				require.NoError(t, err)
			}
			require.NoError(t, client.Flush(t.Context()))
			require.NoError(t, sub.Drain(t.Context()))
			for _, c := range consumers {
				require.NoError(t, c.Wait())
			}
			require.Equal(t, int64(n), got.Load())
		})
	}
}
