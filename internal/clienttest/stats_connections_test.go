package clienttest

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestFailedAttemptsAreCountedByCause(t *testing.T) {
	for name, test := range map[string]struct {
		url    string // mqtt://server by default
		change func(*mqtt.Config)
		server func(*mqtttest.Server) // nil: it is not reached
		want   mqtt.FailedAttempts
	}{
		"refused": {
			server: func(s *mqtttest.Server) { s.Connected(&wire.Connack{ReasonCode: wire.ServerBusy}) },
			want:   mqtt.FailedAttempts{Refused: map[mqtt.ReasonCode]uint64{mqtt.ServerBusy: 1}},
		},
		"DISCONNECT in place of CONNACK": {
			server: func(s *mqtttest.Server) {
				conn := s.Accept()
				conn.WantConnect()
				conn.Send(&wire.Disconnect{ReasonCode: wire.ServerShuttingDown})
			},
			want: mqtt.FailedAttempts{Refused: map[mqtt.ReasonCode]uint64{mqtt.ServerShuttingDown: 1}},
		},
		"no MQTT": {
			server: func(s *mqtttest.Server) {
				conn := s.Accept()
				conn.WantConnect()
				conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			},
			want: mqtt.FailedAttempts{Protocol: 1},
		},
		"a broken rule": {
			server: func(s *mqtttest.Server) {
				conn := s.Accept()
				conn.WantConnect()
				conn.Send(&wire.Pingresp{})
			},
			want: mqtt.FailedAttempts{Protocol: 1},
		},
		"no WebSocket": {
			url: "ws://server",
			server: func(s *mqtttest.Server) {
				conn := s.Accept()
				conn.Write([]byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
			},
			want: mqtt.FailedAttempts{HTTP: 1},
		},
		"no TLS": {
			url:    "mqtts://server",
			server: func(s *mqtttest.Server) { s.Accept().Write([]byte("\x20\x02\x00\x00 and no more")) },
			want:   mqtt.FailedAttempts{TLS: 1},
		},
		"silence": {
			server: func(s *mqtttest.Server) { s.Accept().WantConnect() },
			want:   mqtt.FailedAttempts{Timeout: 1},
		},
		"silence in TLS": {
			url:    "mqtts://server",
			server: func(s *mqtttest.Server) { s.Accept() },
			want:   mqtt.FailedAttempts{Timeout: 1},
		},
		"nobody listens": {
			change: func(c *mqtt.Config) {
				c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
			},
			want: mqtt.FailedAttempts{Network: 1},
		},
		"hung up": {
			server: func(s *mqtttest.Server) {
				conn := s.Accept()
				conn.WantConnect()
				conn.Close()
			},
			want: mqtt.FailedAttempts{Network: 1},
		},
		"Config.Attempt": {
			change: func(c *mqtt.Config) {
				c.Attempt = func(context.Context, *mqtt.Attempt) error { return errors.New("no token") }
			},
			want: mqtt.FailedAttempts{Local: 1},
		},
		"an Attempt that cannot work": {
			change: func(c *mqtt.Config) {
				c.Attempt = func(_ context.Context, a *mqtt.Attempt) error { a.Server = "http://x"; return nil }
			},
			want: mqtt.FailedAttempts{Local: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				cfg.ConnectTimeout = time.Second
				cfg.Permanent = func(error) bool { return true } // there is one attempt
				cfg.TLS = &tls.Config{InsecureSkipVerify: true}
				if test.change != nil {
					test.change(&cfg)
				}
				url := test.url
				if url == "" {
					url = "mqtt://server"
				}
				client, err := mqtt.Start(url, cfg)
				require.NoError(t, err)
				defer client.Close()
				if test.server != nil {
					test.server(srv)
				}
				<-client.Done()
				require.Equal(t, mqtt.ConnectionStats{FailedAttempts: test.want}, client.Stats().ConnectionStats)
			})
		})
	}
}

func TestAttemptThatNobodyWantsAnyMoreIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(records)
		cfg.Logger = slog.New(slog.NewJSONHandler(log, nil))
		client, err := mqtt.Start("mqtt://server", cfg)
		require.NoError(t, err)
		srv.Accept().WantConnect()
		require.NoError(t, client.Close())
		require.Len(t, log.lines(t), 1, "the client has ended")
		require.Equal(t, mqtt.FailedAttempts{Canceled: 1}, client.Stats().FailedAttempts)
	})
}

func TestEndsOfConnectionsAreCountedByCause(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*testing.T, *mqtt.Client, *mqtttest.Conn)
		want mqtt.EndedConnections
	}{
		"hung up": {
			func(_ *testing.T, _ *mqtt.Client, conn *mqtttest.Conn) { conn.Close() },
			mqtt.EndedConnections{HungUp: 1},
		},
		"DISCONNECT": {
			func(_ *testing.T, _ *mqtt.Client, conn *mqtttest.Conn) {
				conn.Send(&wire.Disconnect{ReasonCode: wire.SessionTakenOver})
			},
			mqtt.EndedConnections{Server: map[mqtt.ReasonCode]uint64{mqtt.SessionTakenOver: 1}},
		},
		"a broken rule": {
			func(_ *testing.T, _ *mqtt.Client, conn *mqtttest.Conn) { conn.SendRaw("f0 00 00 00") },
			mqtt.EndedConnections{Protocol: 1},
		},
		"no answer": {
			func(t *testing.T, client *mqtt.Client, _ *mqtttest.Conn) {
				_, err := client.Ping(t.Context())
				require.ErrorIs(t, err, mqtt.ErrConnectionLost)
			},
			mqtt.EndedConnections{KeepAlive: 1},
		},
		"on demand": {
			func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				again := Begin(func() error { return client.Reconnect(ctx) })
				conn.WantDisconnect(wire.Success)
				conn.Close()
				require.ErrorIs(t, again.Wait(), context.DeadlineExceeded)
			},
			mqtt.EndedConnections{Renewed: 1},
		},
		"closed": {
			func(t *testing.T, client *mqtt.Client, _ *mqtttest.Conn) { require.NoError(t, client.Close()) },
			mqtt.EndedConnections{Closed: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, lively(srv, time.Hour))
				require.Equal(t, mqtt.ConnectionStats{Up: 1, Connections: 1}, client.Stats().ConnectionStats)
				srv.Refuse()
				test.end(t, client, conn)
				synctest.Wait()
				got := client.Stats()
				require.Equal(t, test.want, got.Ended)
				require.Equal(t, []uint64{0, 1, 1}, []uint64{uint64(got.Up), got.Connections, got.Lost})
			})
		})
	}
}

func TestAWriteThatTheNetworkDoesNotTakeCountsAsNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1 << 10})
		cfg := Quiet(srv)
		cfg.WriteTimeout = time.Second
		client, _ := Open(t, srv, cfg)
		srv.Refuse()
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: make([]byte, 1<<16)})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, mqtt.EndedConnections{Network: 1}, client.Stats().Ended)
	})
}

func TestLostSessionsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		conn.Close()
		conn = srv.Connected(Resumed())
		require.Zero(t, client.Stats().SessionsLost)
		conn.Close()
		srv.Connected(&wire.Connack{})
		synctest.Wait()
		require.Equal(t, uint64(1), client.Stats().SessionsLost)
	})
}
