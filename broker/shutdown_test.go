package broker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// shutdown begins a Shutdown in the background.
func shutdown(b *Broker, ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- b.Shutdown(ctx) }()
	synctest.Wait()
	return done
}

func TestShutdownWaitsForAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		ln, _ := serveMemory(t, b)
		s := over(t, ln)
		s.send(&wire.Connect{ClientID: "c", ReceiveMaximum: 1})
		receive[*wire.Connack](s)
		s.subscribe(filter("#", 1))
		for i := range 3 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: fmt.Append(nil, i), QoS: 1}))
		}
		done := shutdown(b, t.Context())
		_, err := ln.Dial(t.Context(), "", "")
		require.Error(t, err)
		_, err = b.Dial(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		for i := range 3 {
			advance(time.Second)
			require.Empty(t, done)
			require.Equal(t, fmt.Sprint(i), string(receiveAs(s).Payload))
		}
		require.NoError(t, <-done)
		s.ended(wire.ServerShuttingDown)
		require.ErrorIs(t, b.Publish(message0("a", "")), ErrClosed)
	})
}

func TestShutdownGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		s := clean(t, b, "c")
		s.subscribe(filter("#", 1))
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, <-shutdown(b, ctx), context.DeadlineExceeded)
		require.Less(t, time.Since(start), 2*time.Second)
		receive[*wire.Publish](s)
		s.ended(wire.ServerShuttingDown)
	})
}

func TestShutdownPublishesWills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		sub, err := b.Subscribe("will", 0)
		require.NoError(t, err)
		for id, w := range map[string]*wire.Will{
			"a": {Topic: "will", Payload: []byte("now")},
			"b": {Topic: "will", Payload: []byte("later"), DelayInterval: 60},
		} {
			join(t, b, wire.V5, &wire.Connect{ClientID: id, SessionExpiryInterval: 600, Will: w})
		}
		require.NoError(t, <-shutdown(b, t.Context()))
		require.Equal(t, []string{"now", "closed"}, taken(sub))
	})
}

func TestCloseInterruptsShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		s := clean(t, b, "c")
		s.subscribe(filter("#", 1))
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1}))
		done := shutdown(b, t.Context())
		require.NoError(t, b.Close())
		require.NoError(t, <-done)
	})
}
