package clienttest

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// brokenConn is a connection that ends when CONNECT was written.
type brokenConn struct {
	net.Conn
	write, read error
}

func (c *brokenConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.Conn.Close()
	if c.write != nil {
		return 0, c.write
	}
	return n, err
}

func (c *brokenConn) Read([]byte) (int, error) { return 0, c.read }

// TestAutoReturnsTo5AfterAHangUp ends the very first connection in the ways in which
// a server that is just starting, or a proxy before it, does. That costs one
// connection of 3.1.1 at most.
func TestAutoReturnsTo5AfterAHangUp(t *testing.T) {
	for name, broken := range map[string]brokenConn{
		"end":             {read: io.EOF},
		"in a packet":     {read: io.ErrUnexpectedEOF},
		"reset":           {read: &net.OpError{Op: "read", Err: syscall.ECONNRESET}},
		"reset on write":  {write: &net.OpError{Op: "write", Err: syscall.EPIPE}, read: io.EOF},
		"closed pipe":     {write: io.ErrClosedPipe, read: io.ErrClosedPipe},
		"words of others": {read: errors.New("tunnel is gone")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				dials := 0
				cfg := mqtt.Config{ClientID: "c", Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					synctest.Wait() // until the broker is done with the one before: it is no take-over
					nc, err := b.Dial(ctx, network, address)
					if dials++; dials == 1 {
						broken.Conn = nc
						return &broken, err
					}
					return nc, err
				}}
				client, err := mqtt.Connect(t.Context(), b.URL(), cfg)
				require.NoError(t, err)
				defer client.Close()
				require.Equal(t, mqtt.V311, client.ServerInfo().Version)
				require.Error(t, client.ServerInfo().Fallback)
				require.NoError(t, client.Reconnect(t.Context()))
				require.Equal(t, mqtt.V5, client.ServerInfo().Version)
				require.NoError(t, client.ServerInfo().Fallback)
				m := &mqtt.Message{Topic: "a", QoS: mqtt.AtLeastOnce, ContentType: "text/plain"}
				require.NoError(t, client.PublishMessage(t.Context(), m))
			})
		})
	}
}

// TestAutoDoesNotTakeSilenceForAnOldServer: it may be the network's.
func TestAutoDoesNotTakeSilenceForAnOldServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Version, cfg.ConnectTimeout = mqtt.Auto, time.Second
		d := Dial(t, cfg)
		srv.Accept().WantConnect()
		require.ErrorContains(t, d.Call.Wait(), "timeout")
		srv.WantNone(time.Hour)
	})
}

// TestOldServerDoesNotBindTheOthers has one server that refuses 5.0 and another
// that speaks it.
func TestOldServerDoesNotBindTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		cfg := w.Config()
		cfg.Version, cfg.Servers = mqtt.Auto, []string{"mqtt://10.0.0.2"}
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		s[0].Connected(&wire.Connack{ReasonCode: wire.UnsupportedProtocolVersion})
		s[0].Version = wire.V311
		conn := s[0].Connected(&wire.Connack{})
		client := d.Client(t)
		require.ErrorIs(t, client.ServerInfo().Fallback, mqtt.UnsupportedProtocolVersion)
		for range 2 {
			conn.Close() // too soon: the other comes first
			conn = s[1].Connected(&wire.Connack{})
			synctest.Wait()
			require.Equal(t, mqtt.V5, client.ServerInfo().Version)
			conn.Close()
			conn = s[0].Connected(&wire.Connack{}) // with 3.1.1 at once
			synctest.Wait()
			require.Equal(t, mqtt.V311, client.ServerInfo().Version)
			require.ErrorIs(t, client.ServerInfo().Fallback, mqtt.UnsupportedProtocolVersion)
		}
	})
}

// TestAServerThatRefusesOneVersionAndFailsAtTheOtherIsTriedAgain has a node of a cluster
// that is not ready: it refuses 5.0 by itself, and cannot make a session yet.
func TestAServerThatRefusesOneVersionAndFailsAtTheOtherIsTriedAgain(t *testing.T) {
	refusal := &wire.Connack{ReasonCode: wire.UnsupportedProtocolVersion}
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Version, cfg.RetryFirst = mqtt.Auto, true
		d := Dial(t, cfg)
		srv.Connected(refusal)
		srv.Version = wire.V311
		conn := srv.Accept()
		conn.WantConnect()
		conn.Close()
		srv.Version = wire.V5
		srv.Connected(refusal)
		srv.Version = wire.V311
		conn = srv.Connected(&wire.Connack{})
		client := d.Client(t)
		require.Equal(t, mqtt.V311, client.ServerInfo().Version)

		// The other way round: it has learned 5.0, and is not ready for that either.
		conn.Close()
		srv.Connected(refusal)
		srv.Version = wire.V5
		srv.Accept().Close()
		srv.Connected(&wire.Connack{})
		synctest.Wait()
		require.Equal(t, mqtt.V5, client.ServerInfo().Version)
	})
	synctest.Test(t, func(t *testing.T) { // without RetryFirst
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Version = mqtt.Auto
		d := Dial(t, cfg)
		srv.Connected(refusal)
		srv.Accept().Close()
		err := d.Call.Wait()
		require.ErrorContains(t, err, "with MQTT 3.1.1, because the server refuses the other version")
		require.False(t, mqtt.IsPermanent(err))
	})
	synctest.Test(t, func(t *testing.T) { // a server that takes neither is refused for good
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Version, cfg.RetryFirst = mqtt.Auto, true
		d := Dial(t, cfg)
		srv.Connected(refusal)
		srv.Version = wire.V311
		srv.Connected(refusal)
		require.ErrorIs(t, d.Call.Wait(), mqtt.UnsupportedProtocolVersion)
		srv.WantNone(time.Hour)
	})
}

// TestRedirectedServerIsAskedForItself: what the first server speaks says nothing
// about the one that it names.
func TestRedirectedServerIsAskedForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		cfg := w.Config()
		cfg.Version = mqtt.Auto
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		s[0].Connected(Moved("10.0.0.2"))
		conn := s[1].Accept()
		require.Equal(t, wire.V5, conn.WantConnect().Version)
		conn.Close()
		s[1].Version = wire.V311
		conn = s[1].Connected(&wire.Connack{})
		client := d.Client(t)
		require.Equal(t, mqtt.V311, client.ServerInfo().Version)
		s[1].Version = wire.V5
		conn.Close()
		s[1].Connected(&wire.Connack{})
		synctest.Wait()
		require.Equal(t, mqtt.V5, client.ServerInfo().Version)
	})
}

// TestServerThatHasLearned5 refused 5.0 once, and refuses 3.1.1 now.
func TestServerThatHasLearned5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Version = mqtt.Auto
		d := Dial(t, cfg)
		srv.Connected(&wire.Connack{ReasonCode: wire.UnsupportedProtocolVersion})
		srv.Version = wire.V311
		conn := srv.Connected(&wire.Connack{})
		client := d.Client(t)
		conn.Close()
		conn = srv.Connected(&wire.Connack{ReasonCode: wire.UnsupportedProtocolVersion})
		conn.Close()
		srv.Version = wire.V5
		conn = srv.Connected(&wire.Connack{})
		synctest.Wait()
		require.Equal(t, mqtt.V5, client.ServerInfo().Version)
		conn.Close()
		srv.Connected(Resumed())
	})
}

// TestServerThatHasForgotten5 is replaced by an old one that hangs up on 5.0. What
// waits has properties, so the client is patient before it speaks 3.1.1.
func TestServerThatHasForgotten5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Version = mqtt.Auto
		client, conn := Open(t, srv, cfg)
		for range 5 {
			conn.Close()
			conn = srv.Accept()
			require.Equal(t, wire.V5, conn.WantConnect().Version)
		}
		conn.Close()
		srv.Version = wire.V311
		srv.Connected(&wire.Connack{})
		synctest.Wait()
		require.Equal(t, mqtt.V311, client.ServerInfo().Version)
	})
}

// TestMessagesWithPropertiesWaitFor5 queues one while the server restarts.
func TestMessagesWithPropertiesWaitFor5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Version = mqtt.Auto
		client, conn := Open(t, srv, cfg)
		conn.Close()
		d, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, ContentType: "text/plain"})
		require.NoError(t, err)
		for range 4 {
			srv.Accept().Close()
		}
		conn = srv.Connected(Resumed())
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "text/plain", p.Properties.ContentType)
		conn.Send(Puback(p.PacketID))
		require.True(t, Settled(d))
	})
}
