package clienttest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// beginOn begins a Handle of sub.
func beginOn(t *testing.T, sub *mqtt.Subscription, f func(context.Context, *mqtt.Message) error) *handling {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	h := &handling{Begin(func() error { return sub.Handle(ctx, f) }), cancel}
	synctest.Wait()
	return h
}

// failAt is a handler that notes what it gets and fails for one payload.
func failAt(payload string, got *[]string) func(context.Context, *mqtt.Message) error {
	return func(_ context.Context, m *mqtt.Message) error {
		if string(m.Payload) == payload {
			return errHandler
		}
		*got = append(*got, string(m.Payload))
		return nil
	}
}

func TestSubscriptionIsHandledByOneHandlerAfterTheOther(t *testing.T) {
	for _, lend := range []bool{false, true} {
		for _, concurrency := range []int{0, 3} {
			t.Run(fmt.Sprint(lend, concurrency), func(t *testing.T) {
				Each(t, func(t *testing.T, v wire.Version) {
					srv := mqtttest.NewServer(t, v)
					client, conn := Open(t, srv, Quiet(srv))
					sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{
						Filters: Filters("t"), Lend: lend, Concurrency: concurrency})
					sendNumbered(conn, 3) // before anybody handles them
					var got []string
					h := beginOn(t, sub, failAt("5", &got))
					conn.Want(Puback(1), Puback(2), Puback(3))
					for i := range uint16(6) {
						conn.Send(Pub(i+4, 1, fmt.Sprint(i+4)))
					}
					err := h.Wait()
					require.ErrorIs(t, err, errHandler)
					require.EqualError(t, err, `mqtt: handle "t": handler failed`)
					require.NoError(t, sub.Err(), "the Subscription lives")
					conn.Want(Puback(4))
					conn.WantIdle() // neither acknowledged nor unsubscribed
					h = beginOn(t, sub, failAt("7", &got))
					require.ErrorIs(t, h.Wait(), errHandler)
					h = beginOn(t, sub, failAt("", &got))
					conn.Want(Puback(5), Puback(6), Puback(7), Puback(8), Puback(9))
					require.Equal(t, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}, got)
					h.end(errHandler)
					require.ErrorIs(t, h.Wait(), errHandler)
					conn.WantIdle()
				})
			})
		}
	}
}

func TestAnyConsumerGetsWhatAHandlerLeft(t *testing.T) {
	for name, consume := range consumers {
		for _, concurrency := range []int{0, 2} {
			t.Run(fmt.Sprint(name, concurrency), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					client, conn := Open(t, srv, Quiet(srv))
					sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{
						Filters: Filters("t"), Lend: true, Concurrency: concurrency})
					var got []string
					h := beginOn(t, sub, failAt("2", &got))
					var burst []wire.Packet
					for i := range uint16(100) {
						burst = append(burst, Pub(i+1, 1, fmt.Sprint(i+1)))
					}
					conn.Send(burst...)
					require.ErrorIs(t, h.Wait(), errHandler)
					require.Equal(t, []string{"1"}, got)
					conn.Want(Puback(1))
					conn.WantIdle()
					for i, payload := range consume(t, sub, 99) {
						require.Equal(t, fmt.Sprint(i+2), payload)
						conn.Want(Puback(uint16(i + 2)))
					}
				})
			})
		}
	}
}

// A handler takes many messages at a time, but does not keep those whose turn has
// not come from others that have time.
func TestStuckHandlerDoesNotStopOthers(t *testing.T) {
	for name, consume := range consumers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				sub := Subscribe(t, client, conn, "t", 1)
				sendNumbered(conn, 10)
				running, goOn := make(chan string, 10), make(chan struct{})
				stuck := beginOn(t, sub, func(_ context.Context, m *mqtt.Message) error {
					running <- string(m.Payload)
					<-goOn
					return nil
				})
				require.Equal(t, "1", <-running)
				require.Equal(t, []string{"2", "3", "4", "5", "6", "7", "8", "9"}, consume(t, sub, 8))
				synctest.Wait()
				close(goOn)
				synctest.Wait()
				if name == "Messages" || name == "Stream" { // it is on its way to the channel
					require.Empty(t, running)
				} else {
					require.Equal(t, "10", <-running)
					require.Empty(t, running, "each was handled once")
				}
				stuck.end(errHandler)
				require.ErrorIs(t, stuck.Wait(), errHandler)
			})
		})
	}
}

func TestSeveralHandlersShareTheMessages(t *testing.T) {
	for _, concurrency := range []int{0, 3} {
		synctest.Test(t, func(t *testing.T) {
			const n = 900
			srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1 << 20})
			client, conn := Open(t, srv, Quiet(srv))
			sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{
				Filters: Filters("#"), Lend: true, Concurrency: concurrency})
			var mu sync.Mutex
			seen := make(map[string]int)
			var handlers []*handling
			for range 3 {
				handlers = append(handlers, beginOn(t, sub, func(_ context.Context, m *mqtt.Message) error {
					mu.Lock()
					defer mu.Unlock()
					seen[string(m.Payload)]++
					return nil
				}))
			}
			var burst []wire.Packet
			for i := range uint16(n) {
				burst = append(burst, To(fmt.Sprint("t", i%7), Pub(i+1, 1, fmt.Sprint(i))))
			}
			conn.Send(burst...)
			for i := range uint16(n) {
				conn.Want(Puback(i + 1))
			}
			for i := range n {
				require.Equal(t, 1, seen[fmt.Sprint(i)], i)
			}
			for _, h := range handlers {
				h.end(errHandler)
				require.ErrorIs(t, h.Wait(), errHandler)
			}
			require.NoError(t, sub.Err())
		})
	}
}

func TestUnsubscribeEndsAHandlerOfTheSubscription(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		for _, failing := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), Concurrency: concurrency})
				calls, goOn := 0, make(chan struct{})
				h := beginOn(t, sub, func(context.Context, *mqtt.Message) error {
					calls++
					<-goOn
					if failing {
						return errHandler
					}
					return nil
				})
				sendNumbered(conn, 5)
				end := Begin(func() error { return sub.Unsubscribe(t.Context()) })
				WantUnsubscribe(t, conn, "t")
				require.NoError(t, end.Wait())
				require.False(t, h.Over(), "it waits for the last function")
				close(goOn)
				if failing && concurrency == 0 {
					require.ErrorIs(t, h.Wait(), errHandler)
				} else { // with several workers what came first
					require.ErrorIs(t, h.Wait(), mqtt.ErrUnsubscribed)
				}
				require.Equal(t, 1, calls)
				conn.Want(Puback(1), Puback(2), Puback(3), Puback(4), Puback(5)) // dropped
			})
		}
	}
}

func TestDrainWaitsForTheHandler(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), Concurrency: concurrency})
			step := make(chan struct{})
			handle := func(_ context.Context, m *mqtt.Message) error {
				<-step
				if string(m.Payload) == "4" {
					return errHandler
				}
				return nil
			}
			h := beginOn(t, sub, handle)
			sendNumbered(conn, 5)
			drain := Begin(func() error { return sub.Drain(t.Context()) })
			WantUnsubscribe(t, conn, "t")
			for i := range uint16(3) {
				require.False(t, drain.Over())
				step <- struct{}{}
				conn.Want(Puback(i + 1))
			}
			step <- struct{}{}
			require.ErrorIs(t, h.Wait(), errHandler)
			require.False(t, drain.Over(), "two are left for the next")
			conn.WantIdle()
			h = beginOn(t, sub, func(context.Context, *mqtt.Message) error {
				<-step
				return nil
			})
			step <- struct{}{}
			require.False(t, drain.Over())
			step <- struct{}{}
			require.NoError(t, drain.Wait())
			require.ErrorIs(t, h.Wait(), mqtt.ErrUnsubscribed)
			conn.Want(Puback(4), Puback(5))
		})
	}
}

func TestHandleOfASubscriptionEndsWithItsContext(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), Concurrency: concurrency})
			sendNumbered(conn, 3)
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errHandler)
			require.ErrorIs(t, sub.Handle(ctx, fail), errHandler)
			require.ErrorIs(t, sub.Handle(t.Context(), nil), mqtt.ErrInvalid)
			conn.WantIdle()
			// While the function runs, which is waited for and counts.
			h := beginOn(t, sub, func(ctx context.Context, m *mqtt.Message) error {
				<-ctx.Done()
				return nil
			})
			h.end(errHandler)
			require.ErrorIs(t, h.Wait(), errHandler)
			conn.Want(Puback(1))
			conn.WantIdle()
			WantMessages(t, sub, "2", "3")
		})
	}
}

func TestPanicInAHandlerOfASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		sendNumbered(conn, 3)
		require.PanicsWithValue(t, "oh", func() {
			sub.Handle(t.Context(), func(_ context.Context, m *mqtt.Message) error {
				if string(m.Payload) == "2" {
					panic("oh")
				}
				return nil
			})
		})
		conn.Want(Puback(1))
		conn.WantIdle()
		WantMessages(t, sub, "2", "3")
	})
}

func TestHandleOfASubscriptionEndsWithTheClient(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			cfg.Resume = true
			client, conn := Open(t, srv, cfg)
			sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), Concurrency: concurrency})
			running, goOn := make(chan struct{}, 9), make(chan struct{})
			h := beginOn(t, sub, func(context.Context, *mqtt.Message) error {
				running <- struct{}{}
				<-goOn
				return nil
			})
			sendNumbered(conn, 3)
			require.NoError(t, client.Close())
			conn.WantDisconnect(wire.NormalDisconnection) // nothing is acknowledged
			require.False(t, h.Over())
			close(goOn)
			require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
			require.Len(t, running, 1)
			require.ErrorIs(t, sub.Handle(t.Context(), fail), mqtt.ErrClosed)
		})
	}
}

func TestRouteMayBeHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub, err := client.Route("t")
		require.NoError(t, err)
		var got []string
		h := beginOn(t, sub, failAt("2", &got))
		sendNumbered(conn, 2)
		require.ErrorIs(t, h.Wait(), errHandler)
		conn.Want(Puback(1))
		WantMessages(t, sub, "2")
		conn.Want(Puback(2))
	})
}
