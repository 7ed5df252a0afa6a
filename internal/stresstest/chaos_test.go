package stresstest

import (
	"context"
	"encoding/binary"
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
	"github.com/seed65a45251/mqtt/reconnect"
)

// flaky dials b with connections that break after a random number of writes.
func flaky(b *broker.Broker, writes int) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := b.Dial(ctx)
		if err != nil {
			return nil, err
		}
		c := &flakyConn{Conn: nc}
		c.left.Store(int64(2 + rand.IntN(writes)))
		return c, nil
	}
}

type flakyConn struct {
	net.Conn
	left atomic.Int64
}

func (c *flakyConn) Write(b []byte) (int, error) {
	if c.left.Add(-1) > 0 {
		return c.Conn.Write(b)
	}
	n, _ := c.Conn.Write(b[:rand.IntN(len(b)+1)])
	c.Conn.Close()
	return n, net.ErrClosed
}

func TestNothingIsLostDoubledOrReorderedHoweverOftenTheConnectionBreaks(t *testing.T) {
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			b := broker.New(broker.Config{})
			defer b.Close()
			cfg := mqtt.Config{Version: mqtt.V5, Dial: flaky(b, 10), RetryFirst: true, ReceiveMaximum: 16, Inflight: 8, QueueMessages: 8,
				Reconnect: reconnect.Policy{Min: time.Millisecond, Max: 10 * time.Millisecond}}
			publisher, err := mqtt.Connect(t.Context(), "mqtt://b", cfg)
			require.NoError(t, err)
			defer publisher.Close()
			subscriber, err := mqtt.Connect(t.Context(), "mqtt://b", cfg)
			require.NoError(t, err)
			defer subscriber.Close()
			const senders, n = 4, 200
			sub, err := subscriber.Subscribe(t.Context(), "s/+", mqtt.ExactlyOnce)
			require.NoError(t, err)

			var calls []*Call
			for s := range senders {
				calls = append(calls, Begin(func() error {
					for i := range uint32(n) {
						m := &mqtt.Message{Topic: "s/" + string(rune('a'+s)), Payload: binary.BigEndian.AppendUint32(nil, i), QoS: mqtt.ExactlyOnce}
						if i%5 == 0 {
							if err := publisher.PublishMessage(t.Context(), m); err != nil {
								return err
							}
						} else if _, err := publisher.PublishAsync(t.Context(), m); err != nil {
							return err
						}
					}
					return publisher.Flush(t.Context())
				}))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			expected := map[string]uint32{}
			for range senders * n {
				m, err := sub.Next(ctx)
				require.NoError(t, err)
				require.Equal(t, expected[m.Topic], binary.BigEndian.Uint32(m.Payload), m.Topic)
				expected[m.Topic]++
			}
			for _, c := range calls {
				require.NoError(t, c.Wait())
			}
			require.Greater(t, publisher.Stats().Lost+subscriber.Stats().Lost, uint64(10))
		})
	}
}

func TestSubscriptionsComeAndGoWhileTheConnectionBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := broker.New(broker.Config{})
		defer b.Close()
		cfg := mqtt.Config{Version: mqtt.V5, Dial: flaky(b, 12), RetryFirst: true, Reconnect: reconnect.Policy{Min: time.Millisecond, Max: 10 * time.Millisecond}}
		client, err := mqtt.Connect(t.Context(), "mqtt://b", cfg)
		require.NoError(t, err)
		var calls []*Call
		for range 6 {
			calls = append(calls, Begin(func() error {
				for i := range 40 {
					sub, err := client.Subscribe(t.Context(), "shared", mqtt.AtLeastOnce)
					if err != nil {
						return err
					}
					messages := sub.Messages()
					if err := client.Publish(t.Context(), "shared", []byte("x"), mqtt.AtLeastOnce); err != nil {
						return err
					}
					<-messages // of anybody
					if i%2 == 0 {
						err = sub.Unsubscribe(t.Context())
					} else {
						go func() {
							for range messages {
							}
						}()
						err = sub.Drain(t.Context())
					}
					if err != nil {
						return err
					}
				}
				return nil
			}))
		}
		for _, c := range calls {
			require.NoError(t, c.Wait())
		}
		require.NoError(t, client.Disconnect(t.Context()))
	})
}
