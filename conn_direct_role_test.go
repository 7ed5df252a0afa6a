//go:build unix

package mqtt

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

func TestFlushReturnsAfterALargePayloadAtMostOnce(t *testing.T) {
	c, conn := openSocket(t, 0)
	go io.Copy(io.Discard, conn)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 20 {
		require.NoError(t, c.Publish(ctx, "t", make([]byte, 300_000), AtMostOnce))
		require.NoError(t, c.Flush(ctx))
	}
}

func TestPublisherWhoseMessageIsRefusedDoesNotKeepOthersFromWriting(t *testing.T) {
	c, conn := openSocketWith(t, Config{QueueMessages: 1, WhenFull: WhenFull{Acknowledged: FullFail}}, &wire.Connack{ReceiveMaximum: 1})
	sent, err := c.PublishAsync(t.Context(), &Message{Topic: "t", QoS: AtLeastOnce})
	require.NoError(t, err)
	first := mqtttest.Take[*wire.Publish](conn)
	queued, err := c.PublishAsync(t.Context(), &Message{Topic: "t", QoS: AtLeastOnce})
	require.NoError(t, err)
	k := c.conn
	until(t, c, func() bool { return k.outbox.asleep && !k.outbox.held })
	c.engine.mu.Lock()
	require.NoError(t, c.engine.Request(&session.Request{Unsubscribe: &wire.Unsubscribe{Filters: []string{"f"}}, Owner: nobody{}})) // the writer does not know of it yet
	k.outbox.asleep = false
	c.engine.mu.Unlock()
	for range provenAlone {
		require.ErrorIs(t, c.Publish(t.Context(), "t", nil, AtLeastOnce), ErrQueueFull)
	}
	k.outbox.wakeWriter()
	mqtttest.Take[*wire.Unsubscribe](conn)
	conn.Send(&wire.Puback{PacketID: first.PacketID})
	second := mqtttest.Take[*wire.Publish](conn)
	conn.Send(&wire.Puback{PacketID: second.PacketID})
	<-sent.Done()
	<-queued.Done()
}

func TestWherePacketsAreLoggedOnlyTheWriterWrites(t *testing.T) {
	// The handler of a logger may panic or publish; a publisher is not to run it.
	logger := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: LevelPacket}))
	c, conn := openSocketWith(t, Config{Logger: logger}, &wire.Connack{})
	publishAlone(t, c, conn)
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	require.False(t, c.conn.outbox.acquireLocked())
}
