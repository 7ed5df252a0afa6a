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

func TestShutdownEndsTheContextOfHooks(t *testing.T) {
	for _, phase := range []string{"login", "publish", "will"} {
		synctest.Test(t, func(t *testing.T) {
			wait := func(ctx context.Context, meant bool) Decision {
				if meant {
					<-ctx.Done()
				}
				return Allow()
			}
			b := New(Config{
				ConnectTimeout: time.Hour,
				Authenticators: []Authenticator{AuthenticatorFunc(func(ctx context.Context, l *Login) Decision {
					return wait(ctx, l.ClientID == "login")
				})},
				Authorizers: []Authorizer{AuthorizerFunc(func(ctx context.Context, a *Access) Decision {
					return wait(ctx, a.Topic == phase)
				})},
			})
			dial(t, b, wire.V5).send(&wire.Connect{ClientID: phase, Will: &wire.Will{Topic: "will"}})
			synctest.Wait()
			if phase == "publish" {
				s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "p"})
				s.send(message0("publish", ""))
				synctest.Wait()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			<-shutdown(b, ctx)
			require.Less(t, time.Since(start), 2*time.Minute, phase)
		})
	}
}

// A timer that has already fired when it is stopped must not take over a later one,
// which nobody could stop then.
func TestTimersThatAreStoppedTooLate(t *testing.T) {
	t.Run("status", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := New(Config{StatusInterval: time.Minute})
			sub, err := b.Subscribe("$SYS/#", 0)
			require.NoError(t, err)
			time.Sleep(30 * time.Second)
			b.mu.Lock()
			time.Sleep(30 * time.Second) // the timer fires and waits
			b.sys.unwatchLocked()
			b.sys.watchLocked()
			b.mu.Unlock()
			synctest.Wait()
			start := time.Now()
			require.NoError(t, sub.Close())
			require.NoError(t, b.Close())
			require.Zero(t, time.Since(start))
		})
	})
	t.Run("session", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := New(Config{})
			s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
			s.cut()
			b.mu.Lock()
			time.Sleep(time.Minute) // the session ends, but for the lock
			cl := b.clients["c"]
			cl.mu.Lock()
			b.cancelAlarmLocked(cl)
			b.setAlarmLocked(cl, time.Now(), time.Now())
			cl.mu.Unlock()
			b.mu.Unlock()
			synctest.Wait()
			require.Len(t, b.Clients(), 1)
			start := time.Now()
			require.NoError(t, b.Close())
			require.Zero(t, time.Since(start))
		})
	})
}
