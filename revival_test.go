package mqtt_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

func TestReconnectReplacesTheConnection(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := quiet(srv)
		cfg.Permanent = func(error) bool { return true } // not asked about this
		client, conn := open(t, srv, cfg)
		d := publishAsync(t, client, "x", 1)
		conn.Want(pub(1, 1, "x"))
		begun := time.Now()
		call := begin(func() error { return client.Reconnect(t.Context()) })
		require.Nil(t, mqtttest.Take[*wire.Disconnect](conn).SessionExpiryInterval, "the session stays")
		conn.WantClosed()
		conn = srv.Accept()
		conn.WantConnect()
		require.False(t, call.over())
		conn.Send(&wire.Connack{})
		require.NoError(t, call.wait())
		require.Zero(t, time.Since(begun))
		conn.Send(puback(mqtttest.Take[*wire.Publish](conn).PacketID))
		_, err := d.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(2), client.Stats().Connections)
	})
}

func TestReconnectSkipsTheBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.Reconnect = reconnect.Policy{Min: 24 * time.Hour, Max: 24 * time.Hour}
		client, conn := open(t, srv, cfg)
		srv.Refuse()
		conn.Close()
		synctest.Wait()
		require.Equal(t, mqtt.Reconnecting, client.State())
		srv.Listen()
		begun := time.Now()
		calls := []*call{
			begin(func() error { return client.Reconnect(t.Context()) }),
			begin(func() error { return client.Reconnect(t.Context()) }),
		}
		synctest.Wait()
		srv.Connected(&wire.Connack{})
		for _, c := range calls {
			require.NoError(t, c.wait())
		}
		require.Zero(t, time.Since(begun))
		srv.WantNone(time.Hour)
	})
}

func TestReconnectDuringAnAttemptSkipsThePauseAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.Reconnect = reconnect.Policy{Min: time.Second, Max: 24 * time.Hour, Factor: 24 * 3600}
		client, conn := open(t, srv, cfg)
		conn.Close()
		conn = srv.Accept() // within a second; the one after it would take hours
		conn.WantConnect()
		begun := time.Now()
		call := begin(func() error { return client.Reconnect(t.Context()) })
		require.False(t, call.over())
		conn.Close()
		srv.Connected(&wire.Connack{})
		require.NoError(t, call.wait())
		require.Zero(t, time.Since(begun))
	})
}

func TestReconnectEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		srv.Refuse()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		call := begin(func() error { return client.Reconnect(ctx) })
		conn.WantDisconnect(wire.Success)
		require.ErrorIs(t, call.wait(), context.DeadlineExceeded)
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
		client, conn := open(t, srv, quiet(srv))
		call := begin(func() error { return client.Reconnect(t.Context()) })
		conn.WantDisconnect(wire.Success)
		srv.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		require.ErrorIs(t, call.wait(), mqtt.NotAuthorized)
		<-client.Done()
		err := client.Reconnect(t.Context())
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.True(t, mqtt.NotSent(err))
	})
}

func TestReconnectAndCloseAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		call := begin(func() error { return client.Reconnect(t.Context()) })
		closing := begin(client.Close)
		conn.WantDisconnect(wire.Success)
		require.NoError(t, closing.wait())
		require.ErrorIs(t, call.wait(), mqtt.ErrClosed)
	})
}
