package clienttest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// refuse takes a SUBSCRIBE and refuses all filters.
func refuse(conn *mqtttest.Conn) {
	p := mqtttest.Take[*wire.Subscribe](conn)
	ack := &wire.Suback{PacketID: p.PacketID}
	for range p.Filters {
		ack.ReasonCodes = append(ack.ReasonCodes, wire.NotAuthorized)
	}
	conn.Send(ack)
}

func TestHandleReturnsTheRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		h := beginHandle(t, client, on("t"), fail)
		refuse(conn)
		said := new(mqtt.ServerError)
		require.ErrorAs(t, h.Wait(), &said)
		require.Equal(t, mqtt.NotAuthorized, said.ReasonCode)
		conn.WantIdle()
	})
}

func TestHandleDoesNotBeginWithFewerFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		h := beginHandle(t, client, mqtt.SubscribeOptions{Filters: Filters("t", "secret")}, fail)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(Pub(1, 1, "early"), &wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{2, wire.NotAuthorized}})
		require.ErrorIs(t, h.Wait(), mqtt.NotAuthorized)
		WantUnsubscribe(t, conn, "t")
		conn.WantIdle() // nor does it acknowledge
	})
}

// A message that a handler has left is neither lost nor stuck when the next one
// that asks for it never begins.
func TestWhatWaitsOutlivesASubscribeThatFails(t *testing.T) {
	handler := func(ctx context.Context, c *mqtt.Client) error { return c.Handle(ctx, on("t"), fail) }
	subscriber := func(ctx context.Context, c *mqtt.Client) error {
		_, err := c.SubscribeWith(ctx, on("t"))
		return err
	}
	for name, ask := range map[string]func(context.Context, *mqtt.Client) error{"handle": handler, "subscribe": subscriber} {
		for _, refused := range []bool{true, false} {
			for _, taken := range []bool{true, false} {
				t.Run(fmt.Sprint(name, " refused ", refused, " taken ", taken), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						srv := mqtttest.NewServer(t, wire.V5)
						client, conn := Open(t, srv, Quiet(srv))
						h := handle(t, client, conn, on("t"), fail)
						conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
						require.ErrorIs(t, h.Wait(), errHandler)
						WantUnsubscribe(t, conn, "t")

						ctx, cancel := context.WithCancel(t.Context())
						failing := Begin(func() error { return ask(ctx, client) })
						p := mqtttest.Take[*wire.Subscribe](conn)
						got := make(chan string, 9)
						if taken { // another one comes before it has failed
							handle(t, client, conn, on("t"), list(got))
							wantStrings(t, got)
						}
						if refused {
							conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.NotAuthorized}})
						} else {
							cancel()
						}
						require.Error(t, failing.Wait())
						cancel()
						if !taken {
							if !refused {
								WantUnsubscribe(t, conn, "t")
							}
							conn.WantIdle()
							handle(t, client, conn, on("t"), list(got))
						}
						wantStrings(t, got, "1", "2")
						conn.Want(Puback(1), Puback(2))
					})
				})
			}
		}
	}
}

func TestHandleThatNeverBeganLeavesAResumedSubscriptionAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Resume = true
		client, conn := OpenWith(t, srv, cfg, Resumed())
		h := beginHandle(t, client, on("t"), fail)
		mqtttest.Take[*wire.Subscribe](conn)
		h.end(errHandler)
		require.ErrorIs(t, h.Wait(), errHandler)
		conn.WantIdle() // no UNSUBSCRIBE: the next process goes on with it
	})
}

func TestRefusedRenewalEndsHandleAndKeepsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		running, goOn := make(chan struct{}, 9), make(chan struct{})
		h := handle(t, client, conn, on("t"), func(context.Context, *mqtt.Message) error {
			running <- struct{}{}
			<-goOn
			return nil
		})
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
		synctest.Wait()
		conn.Send(Pub(3, 1, "3"))
		<-running
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		refuse(conn)
		synctest.Wait()
		close(goOn)
		require.ErrorIs(t, h.Wait(), mqtt.NotAuthorized)
		require.Empty(t, running, "one was handled")
		got := make(chan string, 9)
		handle(t, client, conn, on("t"), list(got))
		wantStrings(t, got, "2", "3")
		conn.WantIdle() // the server has forgotten them
	})
}

func TestHandleGoesOnWhenTheSessionIsLost(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		seen, goOn := make(chan string), make(chan struct{})
		handle(t, client, conn, on("t"), func(_ context.Context, m *mqtt.Message) error {
			seen <- string(m.Payload)
			<-goOn
			return nil
		})
		conn.Send(Pub(1, 1, "old"))
		require.Equal(t, "old", <-seen)
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		Grant(conn)
		conn.Send(Pub(1, 1, "new"))
		close(goOn)
		require.Equal(t, "new", <-seen)
		conn.Want(Puback(1))
		conn.WantIdle() // one, which is not for the old message
	})
}

func TestMessageThatIsRepeatedWhileTheFunctionRunsIsHandledOnce(t *testing.T) {
	for _, before := range []bool{true, false} {
		Each(t, func(t *testing.T, v wire.Version) {
			srv := mqtttest.NewServer(t, v)
			cfg := Quiet(srv)
			cfg.Resume = true
			client, conn := OpenWith(t, srv, cfg, &wire.Connack{})
			seen, goOn := make(chan string, 9), make(chan struct{})
			handle(t, client, conn, on("t"), func(_ context.Context, m *mqtt.Message) error {
				seen <- string(m.Payload)
				<-goOn
				return nil
			})
			conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"))
			require.Equal(t, "1", <-seen)
			conn.Close()
			synctest.Wait()
			if before {
				close(goOn) // without a connection
				synctest.Wait()
			}
			conn = srv.Connected(Resumed())
			if v != wire.V311 {
				Renewed(t, conn)
			}
			conn.Send(Dup(1, 1, "1"), Dup(2, 2, "2"))
			if !before {
				conn.WantIdle()
				close(goOn)
			}
			conn.Want(Puback(1), Pubrec(2))
			wantStrings(t, seen, "2")
		})
	}
}

func TestEverythingMayBeCalledFromAHandler(t *testing.T) {
	for action, do := range map[string]func(context.Context, *mqtt.Client) error{
		"publish": func(ctx context.Context, c *mqtt.Client) error { return c.Publish(ctx, "x", nil, 2) },
		"subscribe": func(ctx context.Context, c *mqtt.Client) error {
			_, err := c.Subscribe(ctx, "x", 1)
			return err
		},
		"unsubscribe": func(ctx context.Context, c *mqtt.Client) error { return c.Unsubscribe(ctx, "t") },
		"flush":       func(ctx context.Context, c *mqtt.Client) error { return c.Flush(ctx) },
		"close":       func(_ context.Context, c *mqtt.Client) error { return c.Close() },
		"disconnect": func(ctx context.Context, c *mqtt.Client) error {
			return left(c.Disconnect(ctx), 1) // the one that is being handled
		},
	} {
		for _, concurrency := range []int{0, 2} {
			t.Run(fmt.Sprint(action, concurrency), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					client, conn := Open(t, srv, Quiet(srv))
					o := on("t")
					o.Concurrency = concurrency
					did := make(chan error, 1)
					h := handle(t, client, conn, o, func(context.Context, *mqtt.Message) error {
						did <- do(t.Context(), client)
						return nil
					})
					conn.Send(Pub(1, 1, "x"))
					Obey(conn)
					require.NoError(t, <-did)
					require.NoError(t, client.Close())
					require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
				})
			})
		}
	}
}

func TestHandlerInsideAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		got := make(chan string, 9)
		handle(t, client, conn, on("t"), func(ctx context.Context, m *mqtt.Message) error {
			err := client.Handle(ctx, on("inner"), func(_ context.Context, m *mqtt.Message) error {
				got <- string(m.Payload)
				return errHandler
			})
			require.ErrorIs(t, err, errHandler)
			got <- string(m.Payload)
			return nil
		})
		conn.Send(Pub(1, 1, "outer"))
		Grant(conn)
		conn.Send(To("inner", Pub(0, 0, "inner")))
		wantStrings(t, got, "inner", "outer")
		WantUnsubscribe(t, conn, "inner")
		conn.Want(Puback(1))
	})
}

func TestAcknowledgementsComeBeforeDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		const n = 200
		handled := make(chan struct{}, n)
		handle(t, client, conn, on("t"), func(context.Context, *mqtt.Message) error {
			handled <- struct{}{}
			return nil
		})
		for i := range uint16(n) {
			conn.Send(Pub(i+1, 1, "x"))
		}
		end := Begin(func() error {
			for range n {
				<-handled
			}
			return client.Disconnect(t.Context())
		})
		// All but the last have returned for certain.
		for i := range uint16(n - 1) {
			conn.Want(Puback(i + 1))
		}
		if p := mqtttest.Take[wire.Packet](conn); p.Type() == wire.TypePuback {
			mqtttest.Take[*wire.Disconnect](conn)
		}
		conn.WantClosed()
		require.NoError(t, end.Wait())
	})
}

func TestHandlersThatBlockTheReaderLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1 << 20})
		client, conn := Open(t, srv, Quiet(srv))
		const n = 500
		counts := make([]int, 3)
		gates := make([]chan struct{}, len(counts))
		for i := range counts {
			gates[i] = make(chan struct{})
			o := on([]string{"t", "+", "#"}[i])
			o.Overflow, o.BufferMessages = mqtt.Block, 4<<i
			o.Lend, o.Concurrency = i != 1, 2*i
			handle(t, client, conn, o, func(_ context.Context, m *mqtt.Message) error {
				<-gates[i]
				require.Equal(t, fmt.Sprintf("%0200d", counts[i]), string(m.Payload))
				counts[i]++
				return nil
			})
		}
		var burst []wire.Packet
		for i := range n {
			burst = append(burst, Pub(0, 0, fmt.Sprintf("%0200d", i)))
		}
		conn.Send(burst...)
		synctest.Wait()
		for i := range gates { // one after the other: each holds up the reader for all
			synctest.Wait()
			require.Less(t, counts[i], n)
			close(gates[i])
		}
		synctest.Wait()
		require.Equal(t, []int{n, n, n}, counts)
		require.Zero(t, client.Stats().DroppedBy)
	})
}
