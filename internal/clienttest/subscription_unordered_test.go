package clienttest

import (
	"context"
	"errors"
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

func unordered(n int) mqtt.SubscribeOptions {
	o := concurrently(n)
	o.Unordered = true
	return o
}

func TestUnorderedMessagesOfOneTopicAreHandledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		g := newGates()
		handle(t, client, conn, unordered(3), g.handle)
		for i := range 5 {
			conn.Send(Pub(uint16(i+1), 1, fmt.Sprint(i)))
		}
		require.Equal(t, 3, g.running())
		require.True(t, g.pass("2", nil))
		require.True(t, g.pass("3", nil), "it has begun before 4")
		require.True(t, g.pass("4", nil))
		require.Equal(t, 2, g.running(), "0 and 1")
		conn.WantIdle() // acknowledgements keep the order of arrival
		require.True(t, g.pass("1", nil))
		require.True(t, g.pass("0", nil))
		conn.Want(Puback(1), Puback(2), Puback(3), Puback(4), Puback(5))
	})
}

func TestUnorderedHandleLeavesWhatItHasNotFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		g := newGates()
		h := handle(t, client, conn, unordered(2), g.handle)
		for i := range 5 {
			conn.Send(Pub(uint16(i+1), 1, fmt.Sprint(i)))
		}
		require.Equal(t, 2, g.running())
		require.True(t, g.pass("1", errHandler))
		require.True(t, g.pass("0", nil))
		require.ErrorIs(t, h.Wait(), errHandler)
		conn.Want(Puback(1))
		WantUnsubscribe(t, conn, "#")
		got := make(chan string, 9)
		handle(t, client, conn, on("#"), list(got))
		wantStrings(t, got, "1", "2", "3", "4")
	})
}

func TestUnorderedHandleLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		var mu sync.Mutex
		seen := make(map[string]int)
		handle(t, client, conn, unordered(7), func(_ context.Context, m *mqtt.Message) error {
			mu.Lock()
			defer mu.Unlock()
			seen[string(m.Payload)]++
			return nil
		})
		const n = 2000
		for i := range n {
			conn.Send(Pub(uint16(i+1), 1, fmt.Sprint(i)))
			conn.Want(Puback(uint16(i + 1)))
		}
		require.Len(t, seen, n)
		for payload, times := range seen {
			require.Equal(t, 1, times, payload)
		}
	})
}

func TestUnorderedIsRefusedWhereAnOrderIsGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		o := unordered(2)
		o.OrderBy = func(*mqtt.Message) string { return "" }
		require.ErrorIs(t, client.Handle(t.Context(), o, fail), mqtt.ErrInvalid)
		require.ErrorIs(t, client.RespondWith(t.Context(), mqtt.RespondOptions{
			SubscribeOptions: mqtt.SubscribeOptions{Filters: Filters("t"), Unordered: true},
		}, nothing), mqtt.ErrInvalid)
		conn.WantIdle()
	})
}

func TestSubscribedIsCalledBeforeTheFirstMessage(t *testing.T) {
	for name, subscribe := range map[string]func(context.Context, *mqtt.Client, mqtt.SubscribeOptions, func()) error{
		"Handle": func(ctx context.Context, c *mqtt.Client, o mqtt.SubscribeOptions, took func()) error {
			return c.Handle(ctx, o, func(context.Context, *mqtt.Message) error { took(); return nil })
		},
		"Respond": func(ctx context.Context, c *mqtt.Client, o mqtt.SubscribeOptions, took func()) error {
			return c.RespondWith(ctx, mqtt.RespondOptions{SubscribeOptions: o}, func(context.Context, *mqtt.Message) (*mqtt.Message, error) {
				took()
				return nil, nil
			})
		},
		"SubscribeWith": func(ctx context.Context, c *mqtt.Client, o mqtt.SubscribeOptions, took func()) error {
			sub, err := c.SubscribeWith(ctx, o)
			if err != nil {
				return err
			}
			_, err = sub.Next(ctx)
			took()
			return err
		},
	} {
		for _, own := range []bool{false, true} {
			t.Run(fmt.Sprint(name, own), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					client, conn := Open(t, srv, Quiet(srv))
					told, goOn, took := make(chan *mqtt.Subscription), make(chan struct{}), make(chan struct{}, 1)
					o := mqtt.SubscribeOptions{Filters: Filters("t"), OwnConnection: own, Subscribed: func(s *mqtt.Subscription) {
						told <- s
						<-goOn
					}}
					ctx, cancel := context.WithCancel(t.Context())
					call := Begin(func() error { return subscribe(ctx, client, o, func() { took <- struct{}{} }) })
					if own {
						conn = srv.Connected(&wire.Connack{})
					}
					p := mqtttest.Take[*wire.Subscribe](conn)
					conn.Send(Pub(1, 1, "x")) // before SUBACK
					synctest.Wait()
					conn.Send(Suback(p))
					sub := <-told
					require.Equal(t, []mqtt.ReasonCode{mqtt.GrantedQoS2}, sub.Granted())
					synctest.Wait()
					require.Empty(t, took)
					close(goOn)
					<-took
					conn.Want(Puback(1))
					cancel()
					Obey(conn)
					_ = call.Wait()
				})
			})
		}
	}
}

func TestSubscribedIsNotCalledWhenTheServerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		o := on("a", "b")
		o.Subscribed = func(*mqtt.Subscription) { t.Error("called") }
		h := beginHandle(t, client, o, fail)
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.GrantedQoS2, wire.NotAuthorized}})
		require.ErrorIs(t, h.Wait(), mqtt.NotAuthorized)
	})
}

func TestPanicOfSubscribedLeavesNoSubscription(t *testing.T) {
	for name, subscribe := range map[string]func(*testing.T, *mqtt.Client, mqtt.SubscribeOptions){
		"Handle": func(t *testing.T, c *mqtt.Client, o mqtt.SubscribeOptions) { _ = c.Handle(t.Context(), o, fail) },
		"SubscribeWith": func(t *testing.T, c *mqtt.Client, o mqtt.SubscribeOptions) {
			_, _ = c.SubscribeWith(t.Context(), o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				o := on("t")
				o.Subscribed = func(*mqtt.Subscription) { panic(errHandler) }
				call := Begin(func() (err error) {
					defer func() { err = recover().(error) }()
					subscribe(t, client, o)
					return errors.New("no panic")
				})
				Grant(conn)
				require.ErrorIs(t, call.Wait(), errHandler)
				WantUnsubscribe(t, conn, "t")
			})
		})
	}
}
