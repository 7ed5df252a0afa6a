//go:build unix

package mqtt

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync/atomic"
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
	until(c, func() bool { return k.out.asleep && !k.out.busy })
	c.mu.Lock()
	require.NoError(t, c.engine.Request(&session.Request{Unsubscribe: &wire.Unsubscribe{Filters: []string{"f"}}, Owner: nobody{}})) // the writer does not know of it yet
	k.out.asleep = false
	c.mu.Unlock()
	for range provenAlone {
		require.ErrorIs(t, c.Publish(t.Context(), "t", nil, AtLeastOnce), ErrQueueFull)
	}
	k.wakeUp()
	mqtttest.Take[*wire.Unsubscribe](conn)
	conn.Send(&wire.Puback{PacketID: first.PacketID})
	second := mqtttest.Take[*wire.Publish](conn)
	conn.Send(&wire.Puback{PacketID: second.PacketID})
	<-sent.Done()
	<-queued.Done()
}

// panicking is a handler that panics when it is to log a PUBLISH that was sent.
type panicking struct {
	slog.Handler
	armed  *atomic.Bool
	logged *atomic.Int32
}

func (h panicking) Enabled(context.Context, slog.Level) bool { return true }
func (h panicking) WithAttrs([]slog.Attr) slog.Handler       { return h }

func (h panicking) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if r.Message == packetSent && a.Value.String() == "PUBLISH" && h.armed.Swap(false) {
			panic("no space left")
		}
		return true
	})
	h.logged.Add(1)
	return nil
}

func TestPublisherOutlivesAHandlerThatPanics(t *testing.T) {
	h := panicking{slog.DiscardHandler, new(atomic.Bool), new(atomic.Int32)}
	c, conn := openSocketWith(t, Config{Logger: slog.New(h)}, &wire.Connack{})
	publishAlone(t, c, conn)
	payload := bytes.Repeat([]byte("0123456789"), 30_000)
	h.armed.Store(true)
	require.PanicsWithValue(t, "no space left", func() { c.Publish(t.Context(), "t", payload, AtLeastOnce) })
	logged := h.logged.Load()
	clear(payload) // it is the caller's again
	p := mqtttest.Take[*wire.Publish](conn)
	require.Equal(t, bytes.Repeat([]byte("0123456789"), 30_000), p.Payload)
	require.Equal(t, logged, h.logged.Load(), "bytes of the payload are no packets")
	conn.Send(&wire.Puback{PacketID: p.PacketID})
	require.NoError(t, c.Flush(t.Context()))
	publishAlone(t, c, conn)
}
