package clienttest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

func TestCredentialsOfEachAttempt(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.Username = "user"
		calls := 0
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			calls++
			require.Equal(t, "user", a.Username)
			a.Password = mqtt.Secret(fmt.Sprint("token ", calls))
			return nil
		}
		d := Dial(t, cfg)
		conn := srv.Accept()
		require.Equal(t, "token 1", string(conn.WantConnect().Password))
		conn.Send(&wire.Connack{})
		d.Client(t)
		conn.Close()
		conn = srv.Accept()
		p := conn.WantConnect()
		require.Equal(t, "token 2", string(p.Password))
		require.Equal(t, "user", *p.Username)
	})
}

func TestAttemptSeesAndChangesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.UserProperties = []mqtt.UserProperty{{Name: "a", Value: "1"}}
		var seen []mqtt.Attempt
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			seen = append(seen, *a)
			a.UserProperties[0].Value = fmt.Sprint(len(seen))
			a.UserProperties = append(a.UserProperties, mqtt.UserProperty{Name: "b"})
			a.Header.Set("X", "y")
			a.TLS.ServerName = "changed"
			return nil
		}
		client, conn := Open(t, srv, cfg)
		conn.Close()
		conn = srv.Accept()
		p := conn.WantConnect()
		require.Equal(t, []mqtt.UserProperty{{Name: "a", Value: "2"}, {Name: "b"}}, p.UserProperties)
		conn.Send(Resumed())
		synctest.Wait()
		require.Len(t, seen, 2)
		require.Equal(t, "mqtt://server:1883", seen[0].Server)
		require.NoError(t, seen[0].Cause)
		require.Equal(t, 1, seen[0].Number)
		require.False(t, seen[0].Redirected)
		require.ErrorContains(t, seen[1].Cause, "server closed the connection")
		require.Equal(t, mqtt.Connected, client.State())
	})
}

func TestAttemptSignsTheURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		cfg := web.Config()
		n := 0
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			n++
			require.Equal(t, "ws://host:80/mqtt", a.Server)
			a.Server += fmt.Sprint("?signature=", n)
			a.Header.Set("Authorization", fmt.Sprint("Bearer ", n))
			return nil
		}
		d := Connect(t, "ws://host", cfg)
		p := web.Connected()
		require.Equal(t, "/mqtt?signature=1", p.Request.RequestURI)
		d.Client(t)
		p.Conn.Close()
		p = web.Accept()
		require.Equal(t, "/mqtt?signature=2", p.Request.RequestURI)
		require.Equal(t, "Bearer 2", p.Request.Header.Get("Authorization"))
	})
}

func TestAttemptChoosesAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			require.Equal(t, "other:7", address)
			return srv.Dial(ctx, network, address)
		}
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			a.Server = "tcp://u:p@other:7"
			return nil
		}
		Dial(t, cfg)
		conn := srv.Accept()
		p := conn.WantConnect()
		require.Equal(t, "u", *p.Username)
		require.Equal(t, "p", string(p.Password))
		conn.Close()
	})
}

func TestFailureOfAttemptIsAFailedAttempt(t *testing.T) {
	noToken := errors.New("no token")
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.RetryFirst = true
		calls := 0
		cfg.Attempt = func(context.Context, *mqtt.Attempt) error {
			if calls++; calls < 3 {
				return noToken
			}
			return nil
		}
		_, conn := Open(t, srv, cfg)
		conn.Close()
		require.Equal(t, 3, calls)
	})
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.RetryFirst = true
		cfg.Attempt = func(context.Context, *mqtt.Attempt) error { return noToken }
		cfg.Permanent = func(err error) bool { return errors.Is(err, noToken) }
		require.ErrorIs(t, Dial(t, cfg).Call.Wait(), noToken)
		srv.WantNone(time.Hour)
	})
}

func TestBadAttemptSendsNothing(t *testing.T) {
	for name, spoil := range map[string]func(*mqtt.Attempt){
		"Attempt.Server":         func(a *mqtt.Attempt) { a.Server = "nonsense" },
		"Attempt.Username":       func(a *mqtt.Attempt) { a.Username = "\xff" },
		"Attempt.Password":       func(a *mqtt.Attempt) { a.Password = mqtt.Secret(strings.Repeat("x", 65536)) },
		"Attempt.UserProperties": func(a *mqtt.Attempt) { a.UserProperties = []mqtt.UserProperty{{Name: "\xff"}} },
		"Attempt.ClientID":       func(a *mqtt.Attempt) { a.ClientID = "\xff" },
		"Attempt.Will":           func(a *mqtt.Attempt) { a.Will = &mqtt.Will{Message: mqtt.Message{Topic: "a/#"}} },
		"Attempt.KeepAlive":      func(a *mqtt.Attempt) { a.KeepAlive = 60 },
		"Attempt.SessionExpiry":  func(a *mqtt.Attempt) { a.SessionExpiry = 60 },
		"Attempt.Header":         func(a *mqtt.Attempt) { a.Header = http.Header{"Upgrade": {"h2"}} },
		"Attempt.TLS":            func(a *mqtt.Attempt) { a.Server, a.TLS = "mqtts+unix:///run/s", nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := mqtt.Config{
				Attempt: func(_ context.Context, a *mqtt.Attempt) error {
					spoil(a)
					return nil
				},
				Dial: func(context.Context, string, string) (net.Conn, error) {
					t.Error("dialled")
					return nil, net.ErrClosed
				},
			}
			err := Dial(t, cfg).Call.Wait()
			require.ErrorIs(t, err, mqtt.ErrInvalid)
			require.ErrorContains(t, err, name+": ")
		})
	}
}

func TestAttemptThatTakesTooLongIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		cfg := mqtt.Config{ConnectTimeout: 2 * time.Second, Attempt: func(ctx context.Context, a *mqtt.Attempt) error {
			<-release // does not care about ctx
			a.Username = "late"
			return nil
		}}
		begun := time.Now()
		require.ErrorContains(t, Dial(t, cfg).Call.Wait(), "connect timeout")
		require.Equal(t, 2*time.Second, time.Since(begun))
		close(release)
	})
}

func TestCloseFromAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		var client *mqtt.Client
		cfg.Attempt = func(context.Context, *mqtt.Attempt) error {
			if client != nil {
				return client.Close()
			}
			return nil
		}
		client, conn := Open(t, srv, cfg)
		_ = client
		conn.Close()
		<-client.Done()
		require.ErrorIs(t, client.Err(), mqtt.ErrClosed)
	})
}

func TestClientCertificateOfEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Reconnect = reconnect.Policy{Min: time.Millisecond}
		cfg.TLS = &tls.Config{NextProtos: []string{"x-amzn-mqtt-ca"}}
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			require.Equal(t, []string{"x-amzn-mqtt-ca"}, a.TLS.NextProtos)
			require.Empty(t, a.TLS.Certificates, "it is a copy each time")
			a.TLS.Certificates = []tls.Certificate{{}}
			return nil
		}
		_, conn := Open(t, srv, cfg)
		conn.Close()
		srv.Connected(Resumed())
		require.Empty(t, cfg.TLS.Certificates)
	})
}
