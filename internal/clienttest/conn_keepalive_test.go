package clienttest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func lively(srv *mqtttest.Server, keepAlive time.Duration) mqtt.Config {
	cfg := Quiet(srv)
	cfg.KeepAlive = keepAlive
	return cfg
}

func TestIdleClientPingsWithinTheInterval(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, lively(srv, time.Minute))
		last := time.Now()
		for range 100 {
			mqtttest.Take[*wire.Pingreq](conn)
			require.LessOrEqual(t, time.Since(last), time.Minute)
			require.Greater(t, time.Since(last), 30*time.Second)
			last = time.Now()
			conn.Send(&wire.Pingresp{})
		}
		require.Equal(t, uint64(1), client.Stats().Connections)
	})
}

func TestServerKeepAliveReplacesOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, lively(srv, time.Hour), &wire.Connack{ServerKeepAlive: new(uint16(10))})
		require.Equal(t, 10*time.Second, client.ServerInfo().KeepAlive)
		begun := time.Now()
		mqtttest.Take[*wire.Pingreq](conn)
		require.LessOrEqual(t, time.Since(begun), 10*time.Second)
	})
}

func TestServerMaySwitchKeepAliveOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, lively(srv, time.Minute), &wire.Connack{ServerKeepAlive: new(uint16(0))})
		require.Zero(t, client.ServerInfo().KeepAlive)
		conn.WantIdleFor(24 * time.Hour)
	})
}

func TestNegativeKeepAliveIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := Dial(t, lively(srv, -1))
		conn := srv.Accept()
		require.Zero(t, conn.WantConnect().KeepAlive)
		conn.Send(&wire.Connack{})
		d.Client(t)
		conn.WantIdleFor(24 * time.Hour)
	})
}

func TestHalfOpenConnectionIsNoticedWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, lively(srv, time.Minute))
		events := client.Watch(t.Context())
		begun := time.Now()
		mqtttest.Take[*wire.Pingreq](conn) // and no answer
		conn.WantClosed()
		require.LessOrEqual(t, time.Since(begun), 90*time.Second)
		srv.Accept()
		require.True(t, Seen(events, func(e mqtt.Event) bool { return e.State == mqtt.Reconnecting && e.Err == mqtt.ErrKeepAlive }))
	})
}

func TestHalfOpenConnectionIsNoticedUnderAOneWayFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, lively(srv, time.Minute))
		begun := time.Now()
		pings := 0
		for client.Stats().Lost == 0 {
			require.LessOrEqual(t, time.Since(begun), 91*time.Second)
			flood(t, client)
			for {
				p, ok := mqtttest.TakeWithin[wire.Packet](conn, time.Second)
				if !ok {
					break
				}
				if p.Type() == wire.TypePingreq {
					pings++
				}
			}
		}
		require.Equal(t, 1, pings)
	})
}

// flood publishes unless the connection is lost at this very moment.
func flood(t *testing.T, client *mqtt.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := client.Publish(ctx, "t", []byte("x"), 0); err != nil {
		require.True(t, mqtt.NotSent(err))
	}
}

func TestHalfOpenConnectionIsNoticedWhenTheNetworkTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 512})
		cfg := lively(srv, time.Minute)
		client, _ := Open(t, srv, cfg)
		begun := time.Now()
		require.NoError(t, client.Publish(t.Context(), "t", make([]byte, 4096), 0))
		srv.Accept()
		require.LessOrEqual(t, time.Since(begun), 90*time.Second)
	})
}

func TestStalledWriteEndsTheConnectionByItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 512})
		cfg := Quiet(srv)
		cfg.WriteTimeout = 3 * time.Second
		client, _ := Open(t, srv, cfg)
		begun := time.Now()
		require.NoError(t, client.Publish(t.Context(), "t", make([]byte, 4096), 0))
		srv.Accept()
		require.Less(t, time.Since(begun), 4*time.Second)
		require.Equal(t, uint64(1), client.Stats().Lost)
	})
}

func TestSlowReaderIsNoStalledOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 64 << 10})
		cfg := Quiet(srv)
		cfg.WriteTimeout = 3 * time.Second
		client, conn := Open(t, srv, cfg)
		done := Begin(func() error { return client.Publish(t.Context(), "t", make([]byte, 1<<20), 0) })
		b := make([]byte, 64<<10)
		for total := 0; total < 1<<20; {
			n, err := conn.Read(b)
			require.NoError(t, err)
			total += n
			srv.WantNone(time.Second)
		}
		require.NoError(t, done.Wait())
		require.Zero(t, client.Stats().Lost)
	})
}

func TestLargeSlowPacketIsProofOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, lively(srv, 10*time.Second))
		sub := Subscribe(t, client, conn, "t", 0)
		b, err := Pub(0, 0, string(make([]byte, 1000))).Append(nil, wire.V5)
		require.NoError(t, err)
		for _, one := range b[:200] { // one byte each three seconds, ten minutes long
			conn.Write([]byte{one})
			mqtttest.TakeWithin[*wire.Pingreq](conn, 3*time.Second)
		}
		conn.Write(b[200:])
		require.Len(t, Next(t, sub).Payload, 1000)
		require.Zero(t, client.Stats().Lost)
	})
}

func TestPingTimeoutIsConfigurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := lively(srv, time.Minute)
		cfg.PingTimeout = 2 * time.Second
		_, conn := Open(t, srv, cfg)
		mqtttest.Take[*wire.Pingreq](conn)
		pinged := time.Now()
		conn.WantClosed()
		require.Equal(t, 2*time.Second, time.Since(pinged).Round(time.Millisecond))
	})
}
