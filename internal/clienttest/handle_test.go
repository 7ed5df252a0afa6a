package clienttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

var errHandler = errors.New("handler failed")

// handling is a Handle under way.
type handling struct {
	*Call
	end context.CancelCauseFunc
}

func beginHandle(t *testing.T, c *mqtt.Client, o mqtt.SubscribeOptions, f func(context.Context, *mqtt.Message) error) *handling {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	return &handling{Begin(func() error { return c.Handle(ctx, o, f) }), cancel}
}

// handle begins a Handle; the server grants what it asks for.
func handle(t *testing.T, c *mqtt.Client, conn *mqtttest.Conn, o mqtt.SubscribeOptions, f func(context.Context, *mqtt.Message) error) *handling {
	t.Helper()
	h := beginHandle(t, c, o, f)
	Grant(conn)
	synctest.Wait()
	return h
}

// on is a Subscription with filters of QoS 2.
func on(list ...string) mqtt.SubscribeOptions {
	return mqtt.SubscribeOptions{Filters: Filters(list...)}
}

// list is a handler that hands payloads to a channel.
func list(got chan<- string) func(context.Context, *mqtt.Message) error {
	return func(_ context.Context, m *mqtt.Message) error {
		got <- string(m.Payload)
		return nil
	}
}

func fail(context.Context, *mqtt.Message) error { return errHandler }

func nothing(context.Context, *mqtt.Message) (*mqtt.Message, error) { return nil, nil }

func wantStrings(t *testing.T, got <-chan string, want ...string) {
	t.Helper()
	synctest.Wait()
	require.Len(t, got, len(want))
	for _, text := range want {
		require.Equal(t, text, <-got)
	}
}

func TestHandleAcknowledgesWhenTheFunctionHasReturned(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		seen, goOn := make(chan string), make(chan struct{})
		handle(t, client, conn, on("t"), func(_ context.Context, m *mqtt.Message) error {
			seen <- string(m.Payload)
			<-goOn
			return nil
		})
		conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"), Pub(0, 0, "3"))
		require.Equal(t, "1", <-seen)
		conn.WantIdle()
		goOn <- struct{}{}
		require.Equal(t, "2", <-seen)
		conn.Want(Puback(1))
		conn.WantIdle()
		goOn <- struct{}{}
		require.Equal(t, "3", <-seen)
		conn.Want(Pubrec(2))
		conn.Send(Pubrel(2))
		conn.Want(Pubcomp(2))
		close(goOn)
		conn.WantIdle()
	})
}

func TestReasonCodeRefusesAMessage(t *testing.T) {
	for given, sent := range map[mqtt.ReasonCode]mqtt.ReasonCode{
		mqtt.NotAuthorized:        mqtt.NotAuthorized,
		mqtt.PayloadFormatInvalid: mqtt.PayloadFormatInvalid,
		mqtt.Success:              mqtt.Success,
		mqtt.ServerBusy:           mqtt.UnspecifiedError, // PUBACK and PUBREC cannot carry it
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			h := handle(t, client, conn, on("t"), func(context.Context, *mqtt.Message) error { return given })
			conn.Send(Pub(1, 1, "x"), Pub(2, 2, "x"), Pub(0, 0, "x"))
			conn.Want(&wire.Puback{PacketID: 1, ReasonCode: sent}, &wire.Pubrec{PacketID: 2, ReasonCode: sent})
			require.False(t, h.Over())
		})
	}
}

func TestRefusedMessageCountsAsAcknowledgedBefore50(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, Quiet(srv))
		handle(t, client, conn, on("t"), func(context.Context, *mqtt.Message) error { return mqtt.QuotaExceeded })
		conn.Send(Pub(1, 1, "x"), Pub(2, 2, "x"))
		conn.Want(Puback(1), Pubrec(2))
	})
}

func TestOnlyABareReasonCodeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		h := handle(t, client, conn, on("t"), func(context.Context, *mqtt.Message) error {
			return fmt.Errorf("publish: %w", mqtt.NotAuthorized)
		})
		conn.Send(Pub(1, 1, "x"))
		require.ErrorIs(t, h.Wait(), mqtt.NotAuthorized)
		WantUnsubscribe(t, conn, "t")
		conn.WantIdle()
	})
}

func TestHandleEndsWithTheErrorOfItsFunction(t *testing.T) {
	for _, concurrency := range []int{0, 3} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			o := on("t")
			o.Concurrency = concurrency
			h := handle(t, client, conn, o, func(_ context.Context, m *mqtt.Message) error {
				if string(m.Payload) == "2" {
					return errHandler
				}
				return nil
			})
			conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"), Pub(0, 0, "lost"), Pub(3, 2, "3"))
			err := h.Wait()
			require.ErrorIs(t, err, errHandler)
			require.EqualError(t, err, `mqtt: handle "t": handler failed`)
			conn.Want(Puback(1))
			WantUnsubscribe(t, conn, "t")
			conn.WantIdle() // 2 and 3 stay unacknowledged
			got := make(chan string, 9)
			handle(t, client, conn, on("t"), list(got))
			wantStrings(t, got, "2", "3")
			conn.Want(Puback(2), Pubrec(3))
		})
	}
}

func TestHandleEndsWithItsContext(t *testing.T) {
	for _, concurrency := range []int{0, 1, 3} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			o := on("t")
			o.Concurrency = concurrency
			// Waiting for messages.
			h := handle(t, client, conn, o, fail)
			h.end(errHandler)
			require.ErrorIs(t, h.Wait(), errHandler)
			WantUnsubscribe(t, conn, "t")
			// While the function runs, which is waited for and counts.
			running, goOn := make(chan struct{}), make(chan struct{})
			h = handle(t, client, conn, o, func(ctx context.Context, m *mqtt.Message) error {
				close(running)
				<-ctx.Done()
				<-goOn
				return nil
			})
			conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
			<-running
			h.end(errHandler)
			require.False(t, h.Over())
			close(goOn)
			require.ErrorIs(t, h.Wait(), errHandler)
			conn.Want(Puback(1))
			WantUnsubscribe(t, conn, "t")
			conn.WantIdle()
			// Before it begins.
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errHandler)
			require.ErrorIs(t, client.Handle(ctx, o, fail), errHandler)
			conn.WantIdle()
		})
	}
}

func TestHandleEndsWithTheClient(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		for name, end := range map[string]func(*mqtt.Client) error{
			"close": (*mqtt.Client).Close,
			"disconnect": func(c *mqtt.Client) error {
				return left(c.Disconnect(context.Background()), 3) // one of them is being handled
			},
		} {
			t.Run(fmt.Sprint(name, concurrency), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					client, conn := Open(t, srv, Quiet(srv))
					o := on("t")
					o.Concurrency = concurrency
					calls := 0
					h := handle(t, client, conn, o, func(context.Context, *mqtt.Message) error {
						if calls++; calls == 2 {
							require.NoError(t, end(client))
						}
						return nil
					})
					conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"), Pub(3, 1, "3"), Pub(4, 1, "4"))
					conn.Want(Puback(1))
					conn.WantDisconnect(wire.NormalDisconnection)
					require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
					require.Equal(t, 2, calls, "nothing is handled after the end")
				})
			})
		}
	}
}

func TestWhatAHandlerLeftWaitsForTheNext(t *testing.T) {
	for name, next := range map[string]func(*testing.T, *mqtt.Client, *mqtttest.Conn){
		"Subscription": func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn) {
			WantMessages(t, Subscribe(t, client, conn, "+", 1), "1", "2")
		},
		"Route": func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn) {
			sub, err := client.Route("t")
			require.NoError(t, err)
			WantMessages(t, sub, "1", "2")
		},
		"Unsubscribe": func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn) {
			Begin(func() error { return client.Unsubscribe(t.Context(), "t") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				other := Subscribe(t, client, conn, "o", 1)
				h := handle(t, client, conn, on("t"), fail)
				conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
				require.ErrorIs(t, h.Wait(), errHandler)
				WantUnsubscribe(t, conn, "t")
				// It holds up what is behind it.
				conn.Send(To("o", Pub(3, 1, "o")))
				WantMessages(t, other, "o")
				conn.WantIdle()
				next(t, client, conn)
				conn.Want(Puback(1), Puback(2), Puback(3))
			})
		})
	}
}

func TestHandleWithResumeKeepsTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Resume = true
		client, conn := Open(t, srv, cfg)
		h := handle(t, client, conn, on("t"), fail)
		conn.Send(IDs(Pub(1, 1, "1"), 1))
		require.ErrorIs(t, h.Wait(), errHandler)
		conn.WantIdle()
		conn.Send(IDs(Pub(2, 1, "2"), 1), IDs(Pub(0, 0, "lost"), 1))
		conn.WantIdle()
		got := make(chan string, 9)
		h = handle(t, client, conn, on("t"), list(got))
		wantStrings(t, got, "1", "2")
		conn.Want(Puback(1), Puback(2))
		conn.Send(IDs(Pub(3, 1, "3"), 2))
		wantStrings(t, got, "3")
		conn.Want(Puback(3))
		h.end(errHandler)
		require.ErrorIs(t, h.Wait(), errHandler)
		end := Begin(func() error { return client.Unsubscribe(t.Context(), "t") })
		WantUnsubscribe(t, conn, "t")
		require.NoError(t, end.Wait())
	})
}

func TestPanicInAHandlerLeavesItsMessageToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		h := Begin(func() (err error) {
			defer func() { err = recover().(error) }()
			return client.Handle(t.Context(), on("t"), func(_ context.Context, m *mqtt.Message) error {
				if string(m.Payload) == "2" {
					panic(errHandler)
				}
				return nil
			})
		})
		Grant(conn)
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"), Pub(3, 1, "3"))
		require.Equal(t, errHandler, h.Wait())
		conn.Want(Puback(1))
		WantUnsubscribe(t, conn, "t")
		got := make(chan string, 9)
		handle(t, client, conn, on("t"), list(got))
		wantStrings(t, got, "2", "3")
		conn.Want(Puback(2), Puback(3))
	})
}

func TestHandleLeavesAcknowledgingToManualAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		o := on("t")
		o.ManualAck = true
		kept := make(chan *mqtt.Message, 9)
		handle(t, client, conn, o, func(_ context.Context, m *mqtt.Message) error {
			if string(m.Payload) == "refused" {
				return mqtt.NotAuthorized
			}
			kept <- m
			return nil
		})
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "refused"))
		conn.WantIdle()
		require.NoError(t, (<-kept).Ack())
		conn.Want(Puback(1), &wire.Puback{PacketID: 2, ReasonCode: mqtt.NotAuthorized})
	})
}

func TestOptionsThatDoNotGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		byTopic := func(m *mqtt.Message) string { return m.Topic }
		for name, o := range map[string]mqtt.SubscribeOptions{
			"negative":    {Filters: Filters("t"), Concurrency: -1},
			"too many":    {Filters: Filters("t"), Concurrency: 1 << 20},
			"lent, Ack":   {Filters: Filters("t"), Lend: true, ManualAck: true},
			"no filter":   {},
			"bad filter":  {Filters: Filters("a#")},
			"same filter": {Filters: Filters("t", "t")},
		} {
			require.ErrorIs(t, client.Handle(t.Context(), o, fail), mqtt.ErrInvalid, name)
		}
		for _, o := range []mqtt.SubscribeOptions{{Lend: true}, {Concurrency: 1}, {OrderBy: byTopic}} {
			o.Filters = Filters("t")
			err := client.RespondWith(t.Context(), mqtt.RespondOptions{SubscribeOptions: o}, nothing)
			require.ErrorIs(t, err, mqtt.ErrInvalid, "they are for Handle")
		}
		require.ErrorIs(t, client.Handle(t.Context(), on("t"), nil), mqtt.ErrInvalid)
		conn.WantIdle()
	})
}
