package clienttest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

// start returns a client without a connection, which closes with the test.
func start(t *testing.T, cfg mqtt.Config) *mqtt.Client {
	t.Helper()
	client, err := mqtt.Start("mqtt://server", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// beginWaiting begins WaitConnected.
func beginWaiting(t *testing.T, client *mqtt.Client) *Call {
	return Begin(func() error { return client.WaitConnected(t.Context()) })
}

func TestAStartedClientTakesEverythingBeforeItsFirstConnection(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client := start(t, Quiet(srv))
		require.Equal(t, mqtt.Connecting, client.State())
		events := client.Watch(t.Context())
		waiting := beginWaiting(t, client)
		async := PublishAsync(t, client, "first", 1)
		blocking := Publish(t, client, "second", 1)
		require.False(t, blocking.Over())
		lossy := Publish(t, client, "third", 0)
		require.False(t, lossy.Over())
		subscribing := BeginSubscribe(t.Context(), client, mqtt.Filter{Filter: "f", QoS: 1})
		flushing := Begin(func() error { return client.Flush(t.Context()) })
		local, err := client.Route("local")
		require.NoError(t, err)
		require.False(t, waiting.Over())
		require.False(t, subscribing.Over())
		require.False(t, flushing.Over())

		conn := srv.Connected(&wire.Connack{})
		require.NoError(t, waiting.Wait())
		got := map[string]bool{}
		for range 4 {
			switch p := mqtttest.Take[wire.Packet](conn).(type) {
			case *wire.Publish:
				got[string(p.Payload)] = true
				if p.QoS == 1 {
					conn.Send(Puback(p.PacketID))
				}
			case *wire.Subscribe:
				got[p.Filters[0].Filter] = true
				conn.Send(Suback(p))
			}
		}
		require.Equal(t, map[string]bool{"first": true, "second": true, "third": true, "f": true}, got)
		<-async.Done()
		require.NoError(t, blocking.Wait())
		require.NoError(t, lossy.Wait())
		require.NoError(t, subscribing.Wait())
		require.NoError(t, flushing.Wait())
		conn.Send(To("f", Pub(1, 1, "subscribed")), To("local", Pub(2, 1, "routed")))
		WantMessages(t, subscribing.Sub, "subscribed")
		WantMessages(t, local, "routed")
		require.True(t, Seen(events, func(e mqtt.Event) bool { return e.State == mqtt.Connected }))
	})
}

func TestARequestOfAStartedClientWaitsForTheVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client := start(t, Quiet(srv))
		r := BeginRequest(t.Context(), client, Question("?"))
		require.False(t, r.Over())
		conn := srv.Connected(&wire.Connack{})
		Grant(conn)
		p := TakeRequest(conn)
		conn.Send(ResponseTo(p, "!"))
		require.NoError(t, r.Wait())
		require.Equal(t, "!", string(r.Response.Payload))
	})
}

func TestARequestBeforeTheFirstConnectionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client := start(t, Quiet(srv))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Request(ctx, Question("?"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, mqtt.NotSent(err))
	})
}

func TestStartRefusesAConfigurationAtOnce(t *testing.T) {
	for server, cfg := range map[string]mqtt.Config{
		"gopher://server": {},
		"mqtt://server":   {KeepAlive: time.Millisecond},
	} {
		client, err := mqtt.Start(server, cfg)
		require.Nil(t, client)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.Regexp(t, "^mqtt: ", err.Error())
	}
}

func TestAStartedClientGoesOnTryingWithoutRetryFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client := start(t, Quiet(srv))
		waiting := beginWaiting(t, client)
		srv.Accept().Close()
		srv.Connected(&wire.Connack{ReasonCode: wire.ServerUnavailable})
		require.False(t, waiting.Over())
		srv.Connected(&wire.Connack{})
		require.NoError(t, waiting.Wait())
		require.Equal(t, mqtt.Connected, client.State())
	})
}

func TestWaitConnectedTellsTheLastFailureWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		srv.Refuse()
		client := start(t, Quiet(srv))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := client.WaitConnected(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "refused")
		require.NoError(t, client.Err(), "only the wait has ended")
		srv.Listen()
		srv.Connected(&wire.Connack{})
		require.NoError(t, client.WaitConnected(t.Context()))
	})
}

func TestWaitConnectedWaitsForTheNextConnectionAfterALostOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		require.NoError(t, client.WaitConnected(t.Context()))
		conn.Close()
		synctest.Wait()
		waiting := beginWaiting(t, client)
		require.False(t, waiting.Over())
		srv.Connected(&wire.Connack{})
		require.NoError(t, waiting.Wait())
	})
}

func TestAPermanentRefusalEndsAStartedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client := start(t, Quiet(srv))
		waiting := beginWaiting(t, client)
		publishing := Publish(t, client, "x", 1)
		accepted := PublishAsync(t, client, "y", 1)
		srv.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		<-client.Done()
		_, failed := accepted.Wait(t.Context())
		for _, err := range []error{waiting.Wait(), publishing.Wait(), failed, client.Err(), client.WaitConnected(t.Context())} {
			require.ErrorIs(t, err, mqtt.NotAuthorized)
			require.NotRegexp(t, "mqtt: .*mqtt: ", err.Error(), "the name of the package once")
		}
		require.True(t, mqtt.NotSent(failed))
		require.Equal(t, mqtt.Closed, client.State())
	})
}

func TestAStartedClientObeysMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		srv.Refuse()
		cfg := Quiet(srv)
		cfg.Reconnect = reconnect.Policy{MaxAttempts: 3}
		client := start(t, cfg)
		require.ErrorIs(t, client.WaitConnected(t.Context()), mqtt.ErrRetriesExhausted)
		<-client.Done()
		require.ErrorIs(t, client.Err(), mqtt.ErrRetriesExhausted)
	})
}

func TestAStartedClientEndsBeforeItsFirstConnection(t *testing.T) {
	moments := map[string]func(*mqtttest.Server){
		"while dialling":    func(*mqtttest.Server) {},
		"before CONNACK":    func(srv *mqtttest.Server) { srv.Accept().WantConnect() },
		"between attempts":  func(srv *mqtttest.Server) { srv.Accept().Close() },
		"with a slow Dial":  nil,
		"in Config.Attempt": nil,
	}
	ends := map[string]func(*mqtt.Client) error{
		"Close":      func(c *mqtt.Client) error { return c.Close() },
		"Disconnect": func(c *mqtt.Client) error { return c.Disconnect(context.Background()) },
	}
	for moment, reach := range moments {
		for end, by := range ends {
			t.Run(end+" "+moment, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					cfg := Quiet(srv)
					switch moment {
					case "with a slow Dial":
						cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
							<-ctx.Done()
							return nil, ctx.Err()
						}
					case "in Config.Attempt":
						cfg.Attempt = func(ctx context.Context, _ *mqtt.Attempt) error {
							<-ctx.Done()
							return ctx.Err()
						}
					}
					client := start(t, cfg)
					waiting := beginWaiting(t, client)
					if reach != nil {
						reach(srv)
					}
					synctest.Wait()
					require.NoError(t, by(client))
					require.ErrorIs(t, waiting.Wait(), mqtt.ErrClosed)
					require.ErrorIs(t, client.Err(), mqtt.ErrClosed)
				})
			})
		}
	}
}

func TestDisconnectBeforeTheFirstConnectionWaitsForWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client := start(t, Quiet(srv))
		d := PublishAsync(t, client, "x", 1)
		end := Begin(func() error { return client.Disconnect(t.Context()) })
		require.False(t, end.Over())
		conn := srv.Connected(&wire.Connack{})
		conn.Want(Pub(1, 1, "x"))
		conn.Send(Puback(1))
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.True(t, Settled(d))
	})
}

// TestConnectLetsGoOfItsContext cancels the context of Connect at every moment around the
// end of the handshake: there is a client that works, or an error and nothing left.
func TestConnectLetsGoOfItsContext(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16))
	works, fails := 0, 0
	for range 40 {
		synctest.Test(t, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			for range 25 {
				ctx, cancel := context.WithCancelCause(t.Context())
				tired := errors.New("tired")
				spins := rand.IntN(60)
				go func() {
					for range spins {
						runtime.Gosched()
					}
					cancel(tired)
				}()
				client, err := mqtt.Connect(ctx, "mqtt://server", mqtt.Config{Dial: b.Dial})
				if err != nil {
					fails++
					require.ErrorIs(t, err, tired)
					continue
				}
				works++
				require.NoError(t, client.Publish(t.Context(), "t", nil, mqtt.AtLeastOnce))
				require.Equal(t, uint64(1), client.Stats().Connections)
				require.NoError(t, client.Close())
			}
		})
	}
	t.Logf("%d clients work, %d were cancelled", works, fails)
}

func TestConnectIgnoresTheEndOfItsContextFromItsReturnOn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16))
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		for range 500 {
			ctx, cancel := context.WithCancel(t.Context())
			client, err := mqtt.Connect(ctx, "mqtt://server", mqtt.Config{Dial: b.Dial})
			cancel()
			require.NoError(t, err)
			require.NoError(t, client.Publish(t.Context(), "t", nil, mqtt.AtLeastOnce))
			require.Equal(t, uint64(1), client.Stats().Connections)
			require.NoError(t, client.Close())
		}
	})
}

// What somebody knows already is not told again: the event of a change comes before
// anybody can see the change.
func TestWatchTellsNothingOfAConnectionThatIsKnown(t *testing.T) {
	b := broker.New(broker.Config{})
	defer b.Close()
	config := mqtt.Config{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }}
	known := map[string]func(*mqtt.Client) error{
		"Connect":       func(*mqtt.Client) error { return nil },
		"WaitConnected": func(client *mqtt.Client) error { return client.WaitConnected(t.Context()) },
		"State": func(client *mqtt.Client) error {
			for client.State() != mqtt.Connected {
				runtime.Gosched()
			}
			return nil
		},
	}
	for name, wait := range known {
		t.Run(name, func(t *testing.T) {
			for range 500 {
				var client *mqtt.Client
				var err error
				if name == "Connect" {
					client, err = mqtt.Connect(t.Context(), "mqtt://server", config)
				} else {
					client, err = mqtt.Start("mqtt://server", config)
				}
				require.NoError(t, err)
				require.NoError(t, wait(client))
				events := client.Watch(t.Context())
				require.NoError(t, client.Close())
				for e := range events {
					require.Equal(t, mqtt.Closed, e.State)
				}
			}
		})
	}
}
