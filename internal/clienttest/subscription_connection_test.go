package clienttest

import (
	"context"
	"errors"
	"slices"
	"strings"
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

// apart are options for a Subscription with a connection of its own.
func apart(list ...string) mqtt.SubscribeOptions {
	return mqtt.SubscribeOptions{Filters: Filters(list...), OwnConnection: true}
}

func connectTo(t *testing.T, b *mqtttest.Broker, cfg mqtt.Config) *mqtt.Client {
	t.Helper()
	cfg.Dial = b.Dial
	client, err := mqtt.Connect(t.Context(), b.URL(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// beginApart begins a Subscribe whose connection is the next one, which it returns.
func beginApart(t *testing.T, srv *mqtttest.Server, client *mqtt.Client, o mqtt.SubscribeOptions) (*beginning, *mqtttest.Conn, *wire.Connect) {
	t.Helper()
	b := beginSubscribeWith(t, client, o)
	conn := srv.Accept()
	p := conn.WantConnect()
	return b, conn, p
}

func TestOwnConnectionHasItsOwnIdentifierAndNoWill(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := staying(srv)
		cfg.Will = &mqtt.Will{Message: mqtt.Message{Topic: "gone"}}
		var mu sync.Mutex
		var asked []string
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, a.ClientID)
			a.Username = "user of " + a.ClientID
			return nil
		}
		client, _ := Open(t, srv, cfg)
		var names []string
		for _, list := range [][]string{{"a", "b"}, {"b", "a"}, {"c"}} {
			b, conn, p := beginApart(t, srv, client, apart(list...))
			require.Nil(t, p.Will)
			require.False(t, p.CleanStart)
			require.Equal(t, "user of "+p.ClientID, *p.Username)
			require.LessOrEqual(t, len(p.ClientID), 23)
			conn.Send(&wire.Connack{})
			Grant(conn)
			require.NoError(t, b.call.Wait())
			names = append(names, p.ClientID)
		}
		require.Equal(t, names[0]+"-2", names[1], "the same filters at the same time")
		for _, name := range []string{names[0], names[2]} {
			require.True(t, strings.HasPrefix(name, "c1-"))
			require.Len(t, name, len("c1-")+8)
		}
		require.NotEqual(t, names[0], names[2])
		require.Equal(t, append([]string{"c1"}, names...), asked)
		require.Equal(t, "c1", client.ServerInfo().ClientID)
		require.Equal(t, uint64(4), client.Stats().Connections)
	})
}

func TestOwnConnectionFindsItsSessionInTheNextProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		process := func() (*mqtt.Client, *mqtt.Subscription) {
			client := connectTo(t, b, mqtt.Config{ClientID: "svc", Resume: true})
			sub, err := client.SubscribeWith(t.Context(), apart("t"))
			require.NoError(t, err)
			return client, sub
		}
		client, sub := process()
		b.Publish(&wire.Publish{Topic: "t", Payload: []byte("taken"), QoS: 2})
		WantMessages(t, sub, "taken")
		require.NoError(t, client.Disconnect(t.Context()))
		_, err := sub.Next(t.Context())
		require.ErrorIs(t, err, mqtt.ErrClosed)
		b.Publish(&wire.Publish{Topic: "t", Payload: []byte("meanwhile"), QoS: 2})
		client, sub = process()
		WantMessages(t, sub, "meanwhile")
		// Unsubscribe leaves nothing behind, and the name is free.
		require.NoError(t, sub.Unsubscribe(t.Context()))
		again, err := client.SubscribeWith(t.Context(), apart("t"))
		require.NoError(t, err)
		require.Len(t, clientIDs(b), 2)
		require.NoError(t, again.Unsubscribe(t.Context()))
		synctest.Wait()
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, b.Stats().Sessions)
		require.NoError(t, client.Close())
	})
}

// clientIDs are those that have connected.
func clientIDs(b *mqtttest.Broker) (ids []string) {
	for _, e := range b.Timeline() {
		if p, ok := e.Packet.(*wire.Connect); ok && !slices.Contains(ids, p.ClientID) {
			ids = append(ids, p.ClientID)
		}
	}
	return ids
}

func TestOwnConnectionHealsItselfAndTellsWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, shared := Open(t, srv, Quiet(srv))
		events := client.Watch(t.Context())
		b, conn, _ := beginApart(t, srv, client, apart("t"))
		conn.Send(&wire.Connack{})
		Grant(conn)
		require.NoError(t, b.call.Wait())
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		Grant(conn)
		conn.Send(Pub(1, 1, "x"))
		WantMessages(t, b.sub, "x")
		conn.Want(Puback(1))
		shared.WantIdle()
		var lost, cause bool
		synctest.Wait()
		for len(events) > 0 {
			e := <-events
			require.Equal(t, b.sub, e.Subscription)
			require.Equal(t, mqtt.Connected, e.State, "that of the client")
			lost = lost || e.Session == mqtt.SessionLost
			cause = cause || e.Err != nil
		}
		require.True(t, lost && cause)
	})
}

func TestOwnConnectionThatIsRefusedForGoodEndsItsSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Permanent = func(err error) bool {
			return errors.Is(err, mqtt.NotAuthorized) || errors.Is(err, mqtt.Banned)
		}
		client, shared := Open(t, srv, cfg)
		events := client.Watch(t.Context())
		b, conn, _ := beginApart(t, srv, client, apart("t"))
		conn.Send(&wire.Connack{ReasonCode: wire.NotAuthorized})
		require.ErrorIs(t, b.call.Wait(), mqtt.NotAuthorized)

		b, conn, first := beginApart(t, srv, client, apart("t"))
		conn.Send(&wire.Connack{})
		Grant(conn)
		require.NoError(t, b.call.Wait())
		conn.Close()
		srv.Connected(&wire.Connack{ReasonCode: wire.Banned})
		_, err := b.sub.Next(t.Context())
		require.ErrorIs(t, err, mqtt.Banned)
		require.ErrorIs(t, b.sub.Err(), mqtt.Banned)
		require.True(t, Seen(events, func(e mqtt.Event) bool { return e.Subscription == b.sub && errors.Is(e.Err, mqtt.Banned) }))
		require.Equal(t, mqtt.Connected, client.State())
		shared.WantIdle()

		b, conn, second := beginApart(t, srv, client, apart("t"))
		require.Equal(t, first.ClientID, second.ClientID, "the name is free")
		conn.Send(&wire.Connack{})
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.QuotaExceeded}})
		require.ErrorIs(t, b.call.Wait(), mqtt.QuotaExceeded)
		mqtttest.Take[*wire.Disconnect](conn)
	})
}

func TestOwnConnectionsEndWithTheClient(t *testing.T) {
	for name, end := range map[string]func(*mqtt.Client, *mqtttest.Conn) error{
		"Close": func(c *mqtt.Client, _ *mqtttest.Conn) error { return c.Close() },
		"Disconnect": func(c *mqtt.Client, _ *mqtttest.Conn) error {
			return left(c.Disconnect(context.Background()), 1)
		},
		"refusal": func(c *mqtt.Client, shared *mqtttest.Conn) error {
			shared.Send(&wire.Disconnect{ReasonCode: wire.SessionTakenOver})
			<-c.Done()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			Each(t, func(t *testing.T, v wire.Version) {
				if v < wire.V5 && name == "refusal" {
					return // no such packet
				}
				srv := mqtttest.NewServer(t, v)
				cfg := staying(srv)
				cfg.Permanent = mqtt.IsPermanent
				client, shared := Open(t, srv, cfg)
				b, conn, _ := beginApart(t, srv, client, apart("t"))
				conn.Send(&wire.Connack{})
				Grant(conn)
				require.NoError(t, b.call.Wait())
				conn.Send(Pub(1, 1, "taken"), Pub(2, 1, "not taken"))
				<-b.sub.Messages()
				over := Begin(func() error { return end(client, shared) })
				conn.Want(Puback(1))
				conn.WantDisconnect(wire.NormalDisconnection)
				require.NoError(t, over.Wait())
				select {
				case <-client.Done():
				default:
					t.Fatal("it has not ended")
				}
				require.ErrorIs(t, b.sub.Err(), client.Err())
				_, err := client.SubscribeWith(t.Context(), apart("t"))
				require.ErrorIs(t, err, client.Err())
				require.True(t, mqtt.NotSent(err))
			})
		})
	}
}

func TestCloseEndsASubscribeOnItsOwnConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, _ := Open(t, srv, Quiet(srv))
		b, _, _ := beginApart(t, srv, client, apart("t")) // and no CONNACK
		require.NoError(t, client.Close())
		require.ErrorIs(t, b.call.Wait(), mqtt.ErrClosed)
	})
}

func TestUnsubscribeEndsTheOwnConnectionWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, _ := Open(t, srv, staying(srv))
		for _, leave := range []func(*mqtt.Subscription) error{
			func(s *mqtt.Subscription) error { return s.Unsubscribe(t.Context()) },
			func(s *mqtt.Subscription) error { return s.Drain(t.Context()) },
		} {
			b, conn, _ := beginApart(t, srv, client, apart("t"))
			conn.Send(&wire.Connack{})
			Grant(conn)
			require.NoError(t, b.call.Wait())
			end := Begin(func() error { return leave(b.sub) })
			WantUnsubscribe(t, conn, "t")
			require.NoError(t, end.Wait())
			p := mqtttest.Take[*wire.Disconnect](conn)
			require.Zero(t, *p.SessionExpiryInterval)
			conn.WantClosed()
		}
		synctest.Wait()
		require.Equal(t, uint64(3), client.Stats().Connections, "of those that are gone as well")
	})
}

func TestHandlerOnItsOwnConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, _ := Open(t, srv, Quiet(srv))
		o := apart("t")
		h := beginHandle(t, client, o, fail)
		conn := srv.Connected(&wire.Connack{})
		Grant(conn)
		conn.Send(Pub(1, 1, "unfinished"))
		require.ErrorIs(t, h.Wait(), errHandler)
		WantUnsubscribe(t, conn, "t")
		// The next one of the same filters gets it first.
		got := make(chan string, 1)
		h = beginHandle(t, client, o, list(got))
		Grant(conn)
		wantStrings(t, got, "unfinished")
		conn.Want(Puback(1))
		// With nothing left the connection ends with the handler.
		h.end(errHandler)
		require.ErrorIs(t, h.Wait(), errHandler)
		mqtttest.Take[*wire.Unsubscribe](conn)
		p := mqtttest.Take[*wire.Disconnect](conn)
		require.Zero(t, *p.SessionExpiryInterval)
		conn.WantClosed()
	})
}

func TestResponderOnItsOwnConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		client := connectTo(t, b, mqtt.Config{ClientID: "svc"})
		ctx, cancel := context.WithCancel(t.Context())
		responding := Begin(func() error {
			return client.RespondWith(ctx, mqtt.RespondOptions{SubscribeOptions: apart("ask")},
				func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
					return &mqtt.Message{Payload: append([]byte("re: "), m.Payload...)}, nil
				})
		})
		b.WantSubscribed("ask")
		asker := connectTo(t, b, mqtt.Config{})
		answer, err := asker.Request(t.Context(), &mqtt.Message{Topic: "ask", Payload: []byte("x"), QoS: 1})
		require.NoError(t, err)
		require.Equal(t, "re: x", string(answer.Payload))
		cancel()
		require.ErrorIs(t, responding.Wait(), context.Canceled)
		time.Sleep(2 * time.Second)
		require.Equal(t, 2, b.Stats().Connections)
		require.NoError(t, asker.Close())
		require.NoError(t, client.Close())
	})
}

func TestOwnConnectionOfALongNameOn31(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V31)
		cfg := Quiet(srv)
		cfg.ClientID = "fifteen letters"
		client, _ := Open(t, srv, cfg)
		_, err := client.SubscribeWith(t.Context(), apart("t"))
		require.ErrorIs(t, err, mqtt.ErrInvalid)
	})
}

func TestOwnConnectionOfAClientWithoutAName(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.ClientID = ""
		client, _ := Open(t, srv, cfg)
		b, conn, p := beginApart(t, srv, client, apart("t"))
		require.Len(t, p.ClientID, 22)
		require.NotEqual(t, client.ServerInfo().ClientID, p.ClientID)
		conn.Send(&wire.Connack{})
		Grant(conn)
		require.NoError(t, b.call.Wait())
	})
}
