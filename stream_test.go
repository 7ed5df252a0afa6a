package mqtt_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// wantClosed requires that nothing comes out of a channel any more.
func wantClosed(t *testing.T, ch <-chan *mqtt.Message) {
	t.Helper()
	synctest.Wait()
	select {
	case m, open := <-ch:
		require.False(t, open, "%v", m)
	default:
		t.Fatal("the channel is open")
	}
}

// feeders returns how many goroutines feed channels when everything else waits.
func feeders() int {
	synctest.Wait()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return strings.Count(string(stacks), "mqtt.(*feeder).run(")
}

// sendNumbered sends as many QoS 1 messages whose payload is their identifier.
func sendNumbered(conn *mqtttest.Conn, n int) {
	for i := range uint16(n) {
		conn.Send(pub(i+1, 1, fmt.Sprint(i+1)))
	}
	synctest.Wait()
}

// consumers are all that may take what a Stream has left: n messages.
var consumers = map[string]func(t *testing.T, sub *mqtt.Subscription, n int) []string{
	"Next": func(t *testing.T, sub *mqtt.Subscription, n int) (got []string) {
		for range n {
			m, err := sub.Next(t.Context())
			require.NoError(t, err)
			got = append(got, string(m.Payload))
		}
		return got
	},
	"All": func(t *testing.T, sub *mqtt.Subscription, n int) (got []string) {
		for m, err := range sub.All(t.Context()) {
			require.NoError(t, err)
			if got = append(got, string(m.Payload)); len(got) == n {
				break
			}
		}
		return got
	},
	"Messages": func(t *testing.T, sub *mqtt.Subscription, n int) (got []string) {
		for range n {
			got = append(got, string((<-sub.Messages()).Payload))
		}
		return got
	},
	"Stream": func(t *testing.T, sub *mqtt.Subscription, n int) (got []string) {
		ch := sub.Stream(t.Context())
		for range n {
			got = append(got, string((<-ch).Payload))
		}
		return got
	},
	"Handle": func(t *testing.T, sub *mqtt.Subscription, n int) (got []string) {
		ctx, cancel := context.WithCancelCause(t.Context())
		err := sub.Handle(ctx, func(_ context.Context, m *mqtt.Message) error {
			if got = append(got, string(m.Payload)); len(got) == n {
				cancel(errHandler)
			}
			return nil
		})
		require.ErrorIs(t, err, errHandler)
		return got
	},
}

func TestStreamEndsWithItsContext(t *testing.T) {
	for name, consume := range consumers {
		for _, wait := range []bool{true, false} {
			t.Run(fmt.Sprint(name, wait), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					client, conn := open(t, srv, quiet(srv))
					sub := subscribe(t, client, conn, "t", 1)
					ctx, cancel := context.WithCancel(t.Context())
					ch := sub.Stream(ctx)
					sendNumbered(conn, 5)
					require.Equal(t, "1", string((<-ch).Payload))
					conn.Want(puback(1))
					conn.WantIdle() // the second is held for the channel, and nobody has it
					cancel()
					if wait {
						wantClosed(t, ch)
						require.NoError(t, sub.Err(), "the Subscription lives")
					}
					require.Equal(t, []string{"2", "3", "4", "5"}, consume(t, sub, 4))
					conn.Want(puback(2), puback(3), puback(4), puback(5))
					wantClosed(t, ch)
				})
			})
		}
	}
}

// The next consumer need not wait until the feeder of the last one has noticed the
// end of its context.
func TestConsumerThatFollowsAtOnceKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2000
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1 << 20})
		client, conn := open(t, srv, quiet(srv))
		sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("t"), BufferMessages: n})
		var burst []wire.Packet
		for i := range n {
			burst = append(burst, pub(uint16(i+1), wire.QoS(i%2), fmt.Sprint(i)))
			if i%2 == 0 {
				burst[i] = pub(0, 0, fmt.Sprint(i))
			}
		}
		conn.Send(burst...)
		want := 0
		took := func(m *mqtt.Message) {
			require.Equal(t, fmt.Sprint(want), string(m.Payload))
			want++
		}
		for want < n-10 {
			ctx, cancel := context.WithCancel(t.Context())
			ch := sub.Stream(ctx)
			for range want%5 + 1 {
				took(<-ch)
			}
			cancel()
			if want%3 == 0 { // a last one may still come
				for m := range ch {
					took(m)
				}
			} else {
				m, err := sub.Next(t.Context())
				require.NoError(t, err)
				took(m)
			}
			if want%7 == 0 {
				ctx, cancel := context.WithCancelCause(t.Context())
				require.ErrorIs(t, sub.Handle(ctx, func(_ context.Context, m *mqtt.Message) error {
					took(m)
					cancel(errHandler)
					return nil
				}), errHandler)
			}
		}
	})
}

func TestSeveralStreamsGiveBackInOrderOfArrival(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := open(t, srv, quiet(srv))
			sub := subscribe(t, client, conn, "t", 1)
			var ends []context.CancelFunc
			for range order {
				ctx, cancel := context.WithCancel(t.Context())
				sub.Stream(ctx)
				ends = append(ends, cancel)
			}
			sendNumbered(conn, 5)
			require.Equal(t, 3, feeders())
			for i, which := range order {
				ends[which]()
				require.Equal(t, 2-i, feeders())
			}
			conn.WantIdle()
			wantMessages(t, sub, "1", "2", "3", "4", "5")
		})
	}
}

func TestSeveralStreamsShareTheMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, streams = 600, 4
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1 << 20})
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 1)
		var mu sync.Mutex
		seen := make(map[string]int)
		var all sync.WaitGroup
		for range streams {
			all.Go(func() {
				for m := range sub.Stream(t.Context()) {
					mu.Lock()
					seen[string(m.Payload)]++
					mu.Unlock()
				}
			})
		}
		sendNumbered(conn, n)
		for i := range uint16(n) {
			conn.Want(puback(i + 1))
		}
		require.Len(t, seen, n)
		for payload, times := range seen {
			require.Equal(t, 1, times, payload)
		}
		end := begin(func() error { return sub.Unsubscribe(t.Context()) })
		wantUnsubscribe(t, conn, "t")
		require.NoError(t, end.wait())
		all.Wait()
	})
}

func TestStreamWhoseContextHasEndedTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 1)
		sendNumbered(conn, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, open := <-sub.Stream(ctx)
		require.False(t, open)
		require.Zero(t, feeders())
		wantMessages(t, sub, "1")
	})
}

func TestStreamWithoutAContextEndsWithTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 1)
		var never context.Context
		ch := sub.Stream(never)
		sendNumbered(conn, 1)
		require.Equal(t, "1", string((<-ch).Payload))
		client.Close()
		wantClosed(t, ch)
	})
}

func TestStreamEndsWithTheSubscription(t *testing.T) {
	for name, c := range map[string]struct {
		end func(*testing.T, *mqtt.Client, *mqtttest.Conn, *mqtt.Subscription)
		err error
	}{
		"unsubscribe": {func(t *testing.T, _ *mqtt.Client, conn *mqtttest.Conn, sub *mqtt.Subscription) {
			end := begin(func() error { return sub.Unsubscribe(t.Context()) })
			// What is dropped must not hold up others. It is acknowledged in its order, by
			// goroutines that do not wait for UNSUBSCRIBE.
			for acked := uint16(0); acked < 3; {
				switch p := mqtttest.Take[wire.Packet](conn).(type) {
				case *wire.Puback:
					acked++
					require.Equal(t, acked, p.PacketID)
				case *wire.Unsubscribe:
					conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0}})
				}
			}
			if !end.over() {
				wantUnsubscribe(t, conn, "t")
			}
			require.NoError(t, end.wait())
		}, nil},
		"close": {func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn, _ *mqtt.Subscription) {
			end := begin(client.Close)
			conn.WantDisconnect(wire.NormalDisconnection) // the next process gets them
			require.NoError(t, end.wait())
		}, mqtt.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := quiet(srv)
				cfg.Resume = true
				client, conn := open(t, srv, cfg)
				sub := subscribe(t, client, conn, "t", 1)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				streams := []<-chan *mqtt.Message{sub.Stream(ctx), sub.Stream(ctx)}
				sendNumbered(conn, 3)
				c.end(t, client, conn, sub)
				for _, ch := range streams {
					wantClosed(t, ch)
				}
				require.Zero(t, feeders())
				require.ErrorIs(t, sub.Err(), c.err)
				require.NoError(t, ctx.Err())
				wantClosed(t, sub.Stream(ctx))
			})
		})
	}
}

func TestDrainWaitsForWhoeverGetsTheLastMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 1)
		ctx, cancel := context.WithCancel(t.Context())
		ch := sub.Stream(ctx)
		sendNumbered(conn, 2)
		drain := begin(func() error { return sub.Drain(t.Context()) })
		wantUnsubscribe(t, conn, "t")
		require.Equal(t, "1", string((<-ch).Payload))
		require.False(t, drain.over(), "the second is held for the channel")
		cancel()
		wantClosed(t, ch)
		require.False(t, drain.over(), "and belongs to the next now")
		conn.Want(puback(1))
		conn.WantIdle()
		ch = sub.Stream(t.Context())
		require.Equal(t, "2", string((<-ch).Payload))
		wantClosed(t, ch)
		require.NoError(t, drain.wait())
		conn.Want(puback(2))
	})
}

func TestStreamThatNobodyReadsLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 1)
		sendNumbered(conn, 3)
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			sub.Stream(ctx)
			require.Equal(t, 1, feeders())
			cancel()
			require.Zero(t, feeders())
		}
		conn.WantIdle()
		wantMessages(t, sub, "1", "2", "3")
	})
}

func TestWhatAStreamGaveBackIsAcknowledgedByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("t"), ManualAck: true})
		ctx, cancel := context.WithCancel(t.Context())
		sub.Stream(ctx)
		sendNumbered(conn, 1)
		cancel()
		m := next(t, sub)
		conn.WantIdle()
		require.NoError(t, m.Ack())
		conn.Want(puback(1))
	})
}

// Whoever does not receive by Handle has messages of his own, also with Lend.
func TestLentMessagesAreCopiedForOtherConsumers(t *testing.T) {
	for name, consume := range consumers {
		if name == "Handle" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := open(t, srv, quiet(srv))
				sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("t"), Lend: true})
				for i := range uint16(20) {
					conn.Send(pub(i+1, 1, fmt.Sprint(i)))
				}
				var kept []string
				for i := range 20 {
					kept = append(kept, fmt.Sprint(i))
				}
				require.Equal(t, kept, consume(t, sub, 20))
				for i := range uint16(20) {
					conn.Want(puback(i + 1))
				}
			})
		})
	}
}

// Consumers of every kind come and go at random. Each message is received once and
// acknowledged once.
func TestConsumersThatComeAndGoLoseNothing(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			const n, goroutines = 1000, 6
			srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1 << 20})
			client, conn := open(t, srv, quiet(srv))
			sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{
				Filters: filters("t"), Lend: seed%2 == 0, Concurrency: int(seed % 3)})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var mu sync.Mutex
			seen := make(map[string]int)
			took := func(m *mqtt.Message) bool {
				mu.Lock()
				defer mu.Unlock()
				seen[string(m.Payload)]++
				return len(seen) == n
			}
			var all sync.WaitGroup
			for i := range uint64(goroutines) {
				random := rand.New(rand.NewPCG(seed, i))
				all.Go(func() {
					for ctx.Err() == nil {
						comeAndGo(ctx, sub, random.IntN(4), random.IntN(8), func(m *mqtt.Message) {
							if took(m) {
								stop()
							}
						})
					}
				})
			}
			for i := range uint16(n) {
				conn.Send(pub(i+1, 1+wire.QoS(i%2), fmt.Sprint(i)))
			}
			for i := range uint16(n) {
				if i%2 == 0 {
					conn.Want(puback(i + 1))
				} else {
					conn.Want(pubrec(i + 1))
				}
			}
			all.Wait()
			require.Len(t, seen, n)
			for payload, times := range seen {
				require.Equal(t, 1, times, payload)
			}
			require.Zero(t, feeders())
			wantMessages(t, sub)
		})
	}
}

// comeAndGo receives about so many messages in one of several ways.
func comeAndGo(ctx context.Context, sub *mqtt.Subscription, way, messages int, took func(*mqtt.Message)) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(messages)*time.Millisecond)
	defer cancel()
	count := 0
	one := func(m *mqtt.Message) bool {
		took(m)
		count++
		return count < messages
	}
	switch way {
	case 0:
		for m := range sub.Stream(ctx) {
			if !one(m) {
				cancel() // what still comes is received
			}
		}
	case 1:
		for m := range sub.Stream(ctx) {
			if !one(m) {
				break
			}
		}
	case 2:
		if m, err := sub.Next(ctx); err == nil {
			one(m)
		}
	case 3:
		var mu sync.Mutex // with Concurrency
		sub.Handle(ctx, func(_ context.Context, m *mqtt.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if !one(m) {
				cancel()
			}
			return nil
		})
	}
}
