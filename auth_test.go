package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// counting is an Authenticator by method M. It says which exchange and which
// round it is, and wants "proof" at the end.
type counting struct {
	exchanges int
	refuse    string // the challenge at which it gives up
	hang      bool   // it waits for its context there
}

func (a *counting) Method() string { return "M" }

func (a *counting) Start(context.Context) (mqtt.AuthExchange, []byte, error) {
	a.exchanges++
	if a.refuse == "start" {
		return nil, nil, errors.New("no credentials")
	}
	return &countingExchange{a, a.exchanges, 0}, fmt.Appendf(nil, "%d.0", a.exchanges), nil
}

type countingExchange struct {
	*counting
	n, round int
}

func (x *countingExchange) Continue(ctx context.Context, challenge []byte) ([]byte, error) {
	if x.hang {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if string(challenge) == x.refuse {
		return nil, errors.New("bad challenge")
	}
	x.round++
	return fmt.Appendf(nil, "%d.%d %s", x.n, x.round, challenge), nil
}

func (x *countingExchange) Finish(_ context.Context, final []byte) error {
	if string(final) != "proof" {
		return fmt.Errorf("server is not who it should be: %q", final)
	}
	return nil
}

func authenticated(srv *mqtttest.Server) (mqtt.Config, *counting) {
	cfg, a := Quiet(srv), new(counting)
	cfg.Authenticator = a
	return cfg, a
}

func auth(code wire.ReasonCode, data string) *wire.Auth {
	return &wire.Auth{ReasonCode: code, AuthenticationMethod: "M", AuthenticationData: []byte(data)}
}

// proven is the CONNACK of a server that proves itself.
func proven() *wire.Connack {
	return &wire.Connack{AuthenticationMethod: "M", AuthenticationData: []byte("proof")}
}

func wantAuthConnect(t *testing.T, conn *mqtttest.Conn, data string) {
	t.Helper()
	p := conn.WantConnect()
	require.Equal(t, "M", p.AuthenticationMethod)
	require.Equal(t, data, string(p.AuthenticationData))
}

func TestEveryConnectionAuthenticatesAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg, _ := authenticated(srv)
		d := Dial(t, cfg)
		conn := srv.Accept()
		wantAuthConnect(t, conn, "1.0")
		conn.Send(auth(wire.ContinueAuthentication, "a"))
		conn.Want(auth(wire.ContinueAuthentication, "1.1 a"))
		conn.Send(auth(wire.ContinueAuthentication, "b"))
		conn.Want(auth(wire.ContinueAuthentication, "1.2 b"))
		require.False(t, d.Call.Over())
		conn.Send(proven())
		client := d.Client(t)
		p := PublishAsync(t, client, "x", 1)
		conn.Want(Pub(1, 1, "x"))
		conn.Close()

		conn = srv.Accept()
		wantAuthConnect(t, conn, "2.0")
		conn.Send(auth(wire.ContinueAuthentication, "c"))
		conn.Want(auth(wire.ContinueAuthentication, "2.1 c"))
		// Messages and whatever else may come right behind CONNACK.
		ack := proven()
		ack.SessionPresent = true
		conn.Send(ack, Pub(7, 1, "y"))
		conn.Want(Dup(1, 1, "x"), Puback(7))
		conn.Send(Puback(1))
		require.True(t, Settled(p))
	})
}

func TestServerThatDoesNotWaitForAnswersIsUnderstood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg, _ := authenticated(srv)
		d := Dial(t, cfg)
		conn := srv.Accept()
		wantAuthConnect(t, conn, "1.0")
		conn.Send(auth(wire.ContinueAuthentication, "a"), proven())
		conn.Want(auth(wire.ContinueAuthentication, "1.1 a"))
		d.Client(t)
	})
}

func TestImpostorGetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg, _ := authenticated(srv)
		d := Dial(t, cfg)
		conn := srv.Accept()
		conn.WantConnect()
		conn.Send(&wire.Connack{AuthenticationMethod: "M", AuthenticationData: []byte("guess")}, Pub(0, 0, "lie"))
		conn.WantClosed()
		err := d.Call.Wait()
		require.ErrorIs(t, err, mqtt.ErrAuthenticator)
		require.ErrorContains(t, err, "not who it should be")

		// On a reconnect it gets no message either, and is tried again.
		d = Dial(t, cfg)
		conn = srv.Connected(proven())
		client := d.Client(t)
		sub := Subscribe(t, client, conn, "t", 0)
		conn.Close()
		synctest.Wait() // the client has noticed
		p := PublishAsync(t, client, "secret", 1)
		conn = srv.Connected(&wire.Connack{AuthenticationMethod: "M"})
		conn.WantClosed()
		require.False(t, Settled(p))
		conn = srv.Connected(proven())
		Grant(conn)
		conn.Want(Pub(3, 1, "secret"))
		WantMessages(t, sub)
	})
}

func TestAuthenticatorThatFailsEndsTheAttempt(t *testing.T) {
	for _, where := range []string{"start", "challenge"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg, a := authenticated(srv)
				a.refuse = where
				d := Dial(t, cfg)
				conn := srv.Accept()
				if where != "start" {
					conn.WantConnect()
					conn.Send(auth(wire.ContinueAuthentication, "challenge"))
				}
				conn.WantClosed()
				require.ErrorIs(t, d.Call.Wait(), mqtt.ErrAuthenticator)
			})
		})
	}
}

func TestAuthenticatorThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg, a := authenticated(srv)
		a.hang = true
		began := time.Now()
		d := Dial(t, cfg)
		conn := srv.Accept()
		conn.WantConnect()
		conn.Send(auth(wire.ContinueAuthentication, ""))
		require.ErrorContains(t, d.Call.Wait(), "no CONNACK within the connect timeout")
		require.Equal(t, 15*time.Second, time.Since(began))

		d = Dial(t, cfg)
		conn = srv.Connected(proven())
		client := d.Client(t)
		conn.Close()
		conn = srv.Accept()
		conn.WantConnect()
		conn.Send(auth(wire.ContinueAuthentication, ""))
		synctest.Wait()
		began = time.Now()
		require.NoError(t, client.Close())
		require.Zero(t, time.Since(began))
	})
}

func TestRefusedAuthenticationIsPermanent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg, _ := authenticated(srv)
		cfg.RetryFirst = true
		d := Dial(t, cfg)
		srv.Connected(&wire.Connack{ReasonCode: wire.BadAuthenticationMethod})
		require.ErrorIs(t, d.Call.Wait(), mqtt.BadAuthenticationMethod)
	})
}

func TestAuthenticatorForbidsTheFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg, _ := authenticated(srv)
		cfg.Version = mqtt.Auto
		d := Dial(t, cfg)
		conn := srv.Accept()
		require.Equal(t, wire.V5, conn.WantConnect().Version)
		conn.Send(&wire.Connack{ReasonCode: wire.UnsupportedProtocolVersion})
		require.ErrorIs(t, d.Call.Wait(), mqtt.UnsupportedProtocolVersion)
		srv.WantNone(time.Minute)
	})
}

type namedMethod struct {
	counting
	name string
}

func (m *namedMethod) Method() string { return m.name }

func TestBadAuthenticatorIsRefused(t *testing.T) {
	for name, cfg := range map[string]mqtt.Config{
		"no method":   {Authenticator: new(namedMethod)},
		"not a text":  {Authenticator: &namedMethod{name: "\xff"}},
		"old version": {Authenticator: new(counting), Version: mqtt.V311},
	} {
		_, err := mqtt.Connect(t.Context(), "mqtt://server", cfg)
		require.ErrorIs(t, err, mqtt.ErrInvalid, name)
		require.ErrorContains(t, err, "Config.Authenticator", name)
	}
}

func reauthenticate(t *testing.T, c *mqtt.Client) *Call {
	return Begin(func() error { return c.Reauthenticate(t.Context()) })
}

// openAuthenticated connects a client that has authenticated.
func openAuthenticated(t *testing.T, srv *mqtttest.Server) (*mqtt.Client, *mqtttest.Conn, *counting) {
	t.Helper()
	cfg, a := authenticated(srv)
	client, conn := OpenWith(t, srv, cfg, proven())
	return client, conn, a
}

func TestReauthenticateHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn, _ := openAuthenticated(t, srv)
		sub := Subscribe(t, client, conn, "t", 0)
		r := reauthenticate(t, client)
		conn.Want(auth(wire.Reauthenticate, "2.0"))
		conn.Send(auth(wire.ContinueAuthentication, "a"))
		conn.Want(auth(wire.ContinueAuthentication, "2.1 a"))
		require.NoError(t, Publish(t, client, "x", 0).Wait())
		conn.Want(Pub(0, 0, "x"))
		conn.Send(Pub(0, 0, "y"))
		WantMessages(t, sub, "y")
		second := reauthenticate(t, client)
		conn.WantIdle() // one at a time
		conn.Send(auth(wire.Success, "proof"))
		require.NoError(t, r.Wait())
		conn.Want(auth(wire.Reauthenticate, "3.0"))
		conn.Send(auth(wire.Success, "proof"))
		require.NoError(t, second.Wait())
		require.Equal(t, uint64(1), client.Stats().Connections)
	})
}

func TestFailedReauthenticationEndsTheConnection(t *testing.T) {
	for name, test := range map[string]struct {
		answer *wire.Auth
		refuse string
		want   string
	}{
		"server is an impostor":   {auth(wire.Success, "guess"), "", "not who it should be"},
		"authenticator gives up":  {auth(wire.ContinueAuthentication, "bad"), "bad", "bad challenge"},
		"authenticator times out": {auth(wire.ContinueAuthentication, ""), "hang", "no end of the authentication"},
		"server is silent":        {nil, "", "no end of the authentication"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn, a := openAuthenticated(t, srv)
				a.refuse, a.hang = test.refuse, test.refuse == "hang"
				r := reauthenticate(t, client)
				conn.Want(auth(wire.Reauthenticate, "2.0"))
				if test.answer != nil {
					conn.Send(test.answer)
				}
				conn.WantDisconnect(wire.UnspecifiedError)
				err := r.Wait()
				require.ErrorContains(t, err, "mqtt: reauthenticate: ")
				require.ErrorContains(t, err, test.want)
				require.False(t, mqtt.NotSent(err))
				conn = srv.Accept()
				wantAuthConnect(t, conn, "3.0")
				conn.Send(proven())
				synctest.Wait()
				a.refuse, a.hang = "", false
				r = reauthenticate(t, client)
				conn.Want(auth(wire.Reauthenticate, "4.0"))
				conn.Send(auth(wire.Success, "proof"))
				require.NoError(t, r.Wait())
			})
		})
	}
}

func TestReauthenticateReturnsTheServersRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn, _ := openAuthenticated(t, srv)
		r := reauthenticate(t, client)
		conn.Want(auth(wire.Reauthenticate, "2.0"))
		conn.Send(&wire.Disconnect{ReasonCode: wire.NotAuthorized, ReasonString: "expired"})
		err := r.Wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.ErrorContains(t, err, "expired")
		conn = srv.Accept() // the client may have other credentials by now
		wantAuthConnect(t, conn, "3.0")
		conn.Send(proven())
		evict(conn, wire.NotAuthorized)
		wantEnd(t, srv, client, wire.NotAuthorized)
	})
}

func TestReauthenticateSaysThatAServerBrokeTheRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn, _ := openAuthenticated(t, srv)
		r := reauthenticate(t, client)
		conn.Want(auth(wire.Reauthenticate, "2.0"))
		conn.Send(&wire.Connack{})
		err := r.Wait()
		require.ErrorIs(t, err, mqtt.ErrConnectionLost)
		require.ErrorIs(t, err, wire.ProtocolError)
		require.False(t, mqtt.NotSent(err))
	})
}

func TestReauthenticateEndsWithTheConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn, _ := openAuthenticated(t, srv)
		r := reauthenticate(t, client)
		conn.Want(auth(wire.Reauthenticate, "2.0"))
		require.ErrorIs(t, r.Wait(), context.DeadlineExceeded)
	})
}

func TestReauthenticateEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn, _ := openAuthenticated(t, srv)
		r := reauthenticate(t, client)
		conn.Want(auth(wire.Reauthenticate, "2.0"))
		conn.Close()
		require.ErrorIs(t, r.Wait(), mqtt.ErrConnectionLost)
		// Without a connection there is nothing to authenticate.
		err := client.Reauthenticate(t.Context())
		require.ErrorIs(t, err, mqtt.ErrNotConnected)
		require.True(t, mqtt.NotSent(err))
	})
}

func TestReauthenticateEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn, _ := openAuthenticated(t, srv)
		r := reauthenticate(t, client)
		conn.Want(auth(wire.Reauthenticate, "2.0"))
		b := Begin(client.Close)
		conn.WantDisconnect(wire.Success)
		require.NoError(t, b.Wait())
		require.Error(t, r.Wait())
		require.ErrorIs(t, client.Reauthenticate(t.Context()), mqtt.ErrClosed)
	})
}

func TestReauthenticateNeedsAnAuthenticator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		err := client.Reauthenticate(t.Context())
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorContains(t, err, "Config.Authenticator")
		conn.WantIdle()
		conn.Send(auth(wire.ContinueAuthentication, "unasked"))
		conn.WantDisconnect(wire.ProtocolError)
	})
}
