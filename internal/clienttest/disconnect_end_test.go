package clienttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// staying is a configuration whose session outlives the client.
func staying(srv *mqtttest.Server) mqtt.Config {
	cfg := Quiet(srv)
	cfg.Resume = true
	return cfg
}

// takers are the ways to have n messages.
var takers = map[string]func(t *testing.T, s *mqtt.Subscription, n int){
	"Messages": func(_ *testing.T, s *mqtt.Subscription, n int) { takeFrom(s.Messages(), n) },
	"Stream":   func(t *testing.T, s *mqtt.Subscription, n int) { takeFrom(s.Stream(t.Context()), n) },
	"Next": func(t *testing.T, s *mqtt.Subscription, n int) {
		for range n {
			Next(t, s)
		}
	},
	"All": func(t *testing.T, s *mqtt.Subscription, n int) {
		for _, err := range s.All(t.Context()) {
			require.NoError(t, err)
			if n--; n == 0 {
				break
			}
		}
	},
}

// left returns nil if err says that so many received messages are unfinished, and nothing
// else is.
func left(err error, received int) error {
	u, ok := errors.AsType[*mqtt.UnfinishedError](err)
	if !ok || u.Received != received || u.Published > 0 || u.Requests > 0 {
		return fmt.Errorf("not %d received messages unfinished: %w", received, err)
	}
	return nil
}

func takeFrom(ch <-chan *mqtt.Message, n int) {
	for range n {
		<-ch
	}
}

func TestWhatAConsumerHasIsAcknowledgedBeforeDisconnect(t *testing.T) {
	for name, take := range takers {
		t.Run(name, func(t *testing.T) {
			Each(t, func(t *testing.T, v wire.Version) {
				srv := mqtttest.NewServer(t, v)
				client, conn := Open(t, srv, staying(srv))
				sub := Subscribe(t, client, conn, "t", 2)
				conn.Send(Pub(1, 2, "taken"), Pub(2, 1, "taken"), Pub(3, 1, "not taken"))
				take(t, sub, 2)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				end := Begin(func() error { return client.Disconnect(ctx) })
				conn.Want(Pubrec(1), Puback(2))
				synctest.Wait() // Disconnect has begun
				require.False(t, end.Over(), "the exchange of QoS 2 is not over")
				conn.Send(Pub(4, 1, "too late"), Pubrel(1))
				conn.Want(Pubcomp(1))
				conn.WantDisconnect(wire.NormalDisconnection)
				require.NoError(t, left(end.Wait(), 1), "what is not taken; what came too late was not received")
				if name != "All" { // whose loop is over: nobody is waited for
					require.ErrorIs(t, end.Err, context.DeadlineExceeded)
				}
			})
		})
	}
}

func TestCloseAcknowledgesWhatAConsumerHas(t *testing.T) {
	for name, take := range takers {
		t.Run(name, func(t *testing.T) {
			Each(t, func(t *testing.T, v wire.Version) {
				srv := mqtttest.NewServer(t, v)
				client, conn := Open(t, srv, staying(srv))
				sub := Subscribe(t, client, conn, "t", 2)
				conn.Send(Pub(1, 2, "taken"), Pub(2, 1, "not taken"))
				take(t, sub, 1)
				end := Begin(client.Close)
				conn.Want(Pubrec(1))
				conn.WantDisconnect(wire.NormalDisconnection)
				require.NoError(t, end.Wait())
			})
		})
	}
}

func TestOrderlyEndsRepeatNothingToTheNextProcess(t *testing.T) {
	b := mqtttest.NewBroker(t)
	for i := range 100 {
		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{ClientID: "c1", Resume: true, Dial: b.Dial})
		require.NoError(t, err)
		sub, err := client.Subscribe(t.Context(), "t", mqtt.ExactlyOnce)
		require.NoError(t, err)
		messages := sub.Messages()
		b.Publish(&wire.Publish{Topic: "t", Payload: []byte{byte(i)}, QoS: 2})
		m := <-messages
		require.Equal(t, byte(i), m.Payload[0], "a message of the process before")
		require.NoError(t, client.Disconnect(t.Context()))
	}
}

func TestDisconnectWaitsForAConnectionThatTakesItsAcknowledgements(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, staying(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		conn.Send(Pub(1, 2, "x"))
		synctest.Wait()
		conn.Close()
		synctest.Wait()
		WantMessages(t, sub, "x")
		end := Begin(func() error { return client.Disconnect(t.Context()) })
		conn = srv.Connected(Resumed())
		if v != wire.V311 {
			Grant(conn)
		}
		require.False(t, end.Over())
		conn.Send(Dup(1, 2, "x"))
		conn.Want(Pubrec(1))
		conn.Send(Pubrel(1))
		conn.Want(Pubcomp(1))
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
	})
}

func TestDisconnectDoesNotWaitForAServerThatNeverAnswers(t *testing.T) {
	for _, limit := range []time.Duration{time.Hour, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, staying(srv))
			sub := Subscribe(t, client, conn, "t", 2)
			conn.Send(Pub(1, 2, "x"))
			Next(t, sub)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			end := Begin(func() error { return client.Disconnect(ctx) })
			conn.Want(Pubrec(1))
			conn.WantDisconnect(wire.NormalDisconnection)
			if limit < time.Minute {
				require.ErrorIs(t, end.Wait(), context.DeadlineExceeded)
				require.Less(t, time.Since(start), limit+2*time.Second)
				return
			}
			require.NoError(t, left(end.Wait(), 1), "its exchange is not over")
			require.Less(t, time.Since(start), 20*time.Second)
		})
	}
}

func TestDisconnectWithoutASessionWaitsForNoExchange(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		conn.Send(Pub(1, 2, "x"))
		Next(t, sub)
		end := Begin(func() error { return client.Disconnect(t.Context()) })
		conn.Want(Pubrec(1))
		mqtttest.Take[*wire.Disconnect](conn)
		conn.Close()
		require.NoError(t, end.Wait())
	})
}

func TestDisconnectWaitsForFunctionsOfHandleUntilItsContextEnds(t *testing.T) {
	for _, takes := range []time.Duration{50 * time.Second, 2 * time.Minute} {
		for _, concurrency := range []int{0, 3} {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, staying(srv))
				o := on("t")
				o.Concurrency = concurrency
				h := handle(t, client, conn, o, func(context.Context, *mqtt.Message) error {
					time.Sleep(takes)
					return nil
				})
				conn.Send(Pub(1, 1, "x"))
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				end := Begin(func() error { return client.Disconnect(ctx) })
				require.False(t, end.Over())
				time.Sleep(takes)
				if takes < time.Minute {
					conn.Want(Puback(1))
					require.NoError(t, end.Wait())
				} else {
					require.NoError(t, left(end.Wait(), 1))
					require.ErrorIs(t, end.Err, context.DeadlineExceeded)
				}
				conn.WantDisconnect(wire.NormalDisconnection)
				require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
			})
		}
	}
}

func TestDisconnectMayBeCalledByAFunctionOfHandle(t *testing.T) {
	for name, limit := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"with a context that ends": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 3*time.Second)
		},
		"with one that does not": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithoutCancel(ctx), func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := staying(srv)
				cfg.WriteTimeout = 5 * time.Second
				client, conn := Open(t, srv, cfg)
				h := handle(t, client, conn, on("t"), func(context.Context, *mqtt.Message) error {
					ctx, cancel := limit(t.Context())
					defer cancel()
					return client.Disconnect(ctx)
				})
				conn.Send(Pub(1, 1, "x"))
				conn.WantDisconnect(wire.NormalDisconnection) // and no PUBACK: the function was not done
				require.NoError(t, left(h.Wait(), 1))
			})
		})
	}
}

// Whoever has a message may copy it whenever and wherever: nothing is written into it.
func TestMessagesMayBeCopiedAtAnyTime(t *testing.T) {
	const n = 200
	var copies sync.WaitGroup
	defer copies.Wait()
	keep := func(m *mqtt.Message) {
		for range 2 {
			copies.Go(func() {
				kept := *m
				_ = kept.Ack()
				_ = m.Clone()
			})
		}
	}
	ways := map[string]func(context.Context, *mqtt.Client) error{
		"Messages": func(ctx context.Context, c *mqtt.Client) error {
			sub, err := c.Subscribe(ctx, "t", 1)
			for range n {
				keep(<-sub.Messages())
			}
			return err
		},
		"All with ManualAck": func(ctx context.Context, c *mqtt.Client) error {
			sub, err := c.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true})
			if err != nil {
				return err
			}
			got := 0
			for m := range sub.All(ctx) {
				keep(m)
				if got++; got == n {
					break
				}
			}
			return nil
		},
		"Handle": func(ctx context.Context, c *mqtt.Client) error {
			got := 0
			err := c.Handle(ctx, mqtt.SubscribeOptions{Filters: Filters("t"), Concurrency: 1}, func(_ context.Context, m *mqtt.Message) error {
				keep(m)
				if got++; got == n {
					return errHandler
				}
				return nil
			})
			if errors.Is(err, errHandler) {
				return nil
			}
			return err
		},
	}
	for name, consume := range ways {
		t.Run(name, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial})
			require.NoError(t, err)
			defer client.Close()
			done := Begin(func() error { return consume(t.Context(), client) })
			b.WantSubscribed("t")
			for range n {
				b.Publish(&wire.Publish{Topic: "t", Payload: []byte("x"), QoS: 1})
			}
			require.NoError(t, done.Wait())
		})
	}
}
