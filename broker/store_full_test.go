package broker_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// A file that has reached its maximum refuses messages until a subscriber has come
// and taken some.
func TestAFullFileRecoversWhenItsMessagesAreTaken(t *testing.T) {
	file, err := bolt.Open(filepath.Join(t.TempDir(), "store"), bolt.Config{NoSync: true, MaxSize: 8 << 20})
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	b, err := broker.Open(broker.Config{Store: file})
	require.NoError(t, err)
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	connect := func(id string) *mqtt.Client {
		c, err := mqtt.Connect(ctx, "mqtt://broker", mqtt.Config{
			ClientID: id, Resume: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) },
		})
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	subscriber := connect("subscriber")
	_, err = subscriber.Subscribe(ctx, "a", mqtt.AtLeastOnce)
	require.NoError(t, err)
	require.NoError(t, subscriber.Close())

	publisher, payload := connect("publisher"), make([]byte, 64<<10)
	accepted := 0
	for ; err == nil; accepted++ {
		require.Less(t, accepted, 200)
		err = publisher.Publish(ctx, "a", payload, mqtt.AtLeastOnce)
	}
	accepted--
	require.Greater(t, accepted, 20)
	require.NotZero(t, b.Stats().CommitErrors)
	require.ErrorIs(t, publisher.Publish(ctx, "a", payload, mqtt.AtLeastOnce), mqtt.QuotaExceeded)

	sub, err := connect("subscriber").Route("a")
	require.NoError(t, err)
	for range accepted {
		_, err := sub.Next(ctx)
		require.NoError(t, err)
	}
	// The space is free when the acknowledgements are on the disk.
	for publisher.Publish(ctx, "a", payload, mqtt.AtLeastOnce) != nil {
		require.NoError(t, ctx.Err())
	}
	_, err = sub.Next(ctx)
	require.NoError(t, err)
}
