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
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

func TestReconnectReplacesTheConnection(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.Permanent = func(error) bool { return true } // not asked about this
		client, conn := Open(t, srv, cfg)
		d := PublishAsync(t, client, "x", 1)
		conn.Want(Pub(1, 1, "x"))
		begun := time.Now()
		call := Begin(func() error { return client.Reconnect(t.Context()) })
		require.Nil(t, mqtttest.Take[*wire.Disconnect](conn).SessionExpiryInterval, "the session stays")
		conn.WantClosed()
		conn = srv.Accept()
		conn.WantConnect()
		require.False(t, call.Over())
		conn.Send(&wire.Connack{})
		require.NoError(t, call.Wait())
		require.Zero(t, time.Since(begun))
		conn.Send(Puback(mqtttest.Take[*wire.Publish](conn).PacketID))
		_, err := d.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(2), client.Stats().Connections)
	})
}

func TestReconnectSkipsTheBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Reconnect = reconnect.Policy{Min: 24 * time.Hour, Max: 24 * time.Hour}
		client, conn := Open(t, srv, cfg)
		srv.Refuse()
		conn.Close()
		synctest.Wait()
		require.Equal(t, mqtt.Reconnecting, client.State())
		srv.Listen()
		begun := time.Now()
		calls := []*Call{
			Begin(func() error { return client.Reconnect(t.Context()) }),
			Begin(func() error { return client.Reconnect(t.Context()) }),
		}
		synctest.Wait()
		srv.Connected(&wire.Connack{})
		for _, c := range calls {
			require.NoError(t, c.Wait())
		}
		require.Zero(t, time.Since(begun))
		srv.WantNone(time.Hour)
	})
}

func TestReconnectDuringAnAttemptSkipsThePauseAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Reconnect = reconnect.Policy{Min: time.Second, Max: 24 * time.Hour, Factor: 24 * 3600}
		client, conn := Open(t, srv, cfg)
		conn.Close()
		conn = srv.Accept() // within a second; the one after it would take hours
		conn.WantConnect()
		begun := time.Now()
		call := Begin(func() error { return client.Reconnect(t.Context()) })
		require.False(t, call.Over())
		conn.Close()
		srv.Connected(&wire.Connack{})
		require.NoError(t, call.Wait())
		require.Zero(t, time.Since(begun))
	})
}

func TestReconnectEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		srv.Refuse()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		call := Begin(func() error { return client.Reconnect(ctx) })
		conn.WantDisconnect(wire.Success)
		require.ErrorIs(t, call.Wait(), context.DeadlineExceeded)
		srv.Listen()
		srv.Connected(&wire.Connack{}) // the client goes on

		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, client.Reconnect(ended), context.Canceled)
		require.Equal(t, mqtt.Connected, client.State(), "nothing was done")
	})
}

func TestReconnectEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		call := Begin(func() error { return client.Reconnect(t.Context()) })
		conn.WantDisconnect(wire.Success)
		srv.Connected(&wire.Connack{ReasonCode: wire.ClientIdentifierNotValid})
		require.ErrorIs(t, call.Wait(), mqtt.ClientIdentifierNotValid)
		<-client.Done()
		err := client.Reconnect(t.Context())
		require.ErrorIs(t, err, mqtt.ClientIdentifierNotValid)
		require.True(t, mqtt.NotSent(err))
	})
}

func TestReconnectAndCloseAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		call := Begin(func() error { return client.Reconnect(t.Context()) })
		closing := Begin(client.Close)
		conn.WantDisconnect(wire.Success)
		require.NoError(t, closing.Wait())
		require.ErrorIs(t, call.Wait(), mqtt.ErrClosed)
	})
}

func TestReconnectIsNoFailedAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Reconnect = reconnect.Policy{MaxAttempts: 1}
		client, conn := Open(t, srv, cfg)
		conn.Close()
		conn = srv.Connected(&wire.Connack{}) // the only attempt that may fail
		synctest.Wait()
		call := Begin(func() error { return client.Reconnect(t.Context()) })
		conn.WantDisconnect(wire.Success)
		srv.Connected(&wire.Connack{})
		require.NoError(t, call.Wait())
	})
}

func TestReconnectStaysWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		cfg := w.Config()
		cfg.Servers = []string{"mqtt://10.0.0.2"}
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		conn := s[0].Connected(&wire.Connack{})
		client := d.Client(t)
		w.Took()
		call := Begin(func() error { return client.Reconnect(t.Context()) })
		conn.WantDisconnect(wire.Success)
		s[0].Connected(&wire.Connack{})
		require.NoError(t, call.Wait())
		require.Equal(t, []string{"10.0.0.1:1883"}, w.Took(), "it has the session")
	})
}

func TestReconnectAcknowledgesBeforeItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 100})
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(IDs(Pub(7, 1, "x"), 1))
		synctest.Wait()
		PublishAsync(t, client, string(make([]byte, 1000)), 0) // the writer is busy
		synctest.Wait()
		WantMessages(t, sub, "x")
		call := Begin(func() error { return client.Reconnect(t.Context()) })
		synctest.Wait()
		mqtttest.Take[*wire.Publish](conn)
		conn.Want(Puback(7))
		conn.WantDisconnect(wire.Success)
		srv.Connected(Resumed())
		require.NoError(t, call.Wait())
	})
}
