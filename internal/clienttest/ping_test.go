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

// pinging is a Ping that is under way, and how long its round trip took.
type pinging struct {
	*Call
	trip time.Duration
}

func ping(ctx context.Context, c *mqtt.Client) *pinging {
	p := new(pinging)
	p.Call = Begin(func() (err error) {
		p.trip, err = c.Ping(ctx)
		return err
	})
	synctest.Wait()
	return p
}

func TestPingMeasuresTheRoundTrip(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv)) // without keep-alive
		p := ping(t.Context(), client)
		conn.Want(&wire.Pingreq{})
		time.Sleep(30 * time.Millisecond)
		conn.Send(Pub(0, 0, "no answer"))
		require.False(t, p.Over())
		conn.Send(&wire.Pingresp{})
		require.NoError(t, p.Wait())
		require.Equal(t, 30*time.Millisecond, p.trip)
		require.Equal(t, p.trip, client.Stats().Ping.Last)
		conn.WantIdle()
	})
}

func TestPingsAtATimeShareAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		first := ping(t.Context(), client)
		conn.Want(&wire.Pingreq{})
		others := []*pinging{ping(t.Context(), client), ping(t.Context(), client)}
		ctx, cancel := context.WithCancel(t.Context())
		given := ping(ctx, client)
		cancel()
		require.ErrorIs(t, given.Wait(), context.Canceled)
		conn.WantIdle()
		time.Sleep(time.Second)
		conn.Send(&wire.Pingresp{})
		require.NoError(t, first.Wait())
		conn.Want(&wire.Pingreq{})
		time.Sleep(2 * time.Second)
		conn.Send(&wire.Pingresp{})
		for _, p := range others {
			require.NoError(t, p.Wait())
			require.Equal(t, 2*time.Second, p.trip)
		}
		conn.WantIdle()
		require.Equal(t, uint64(2), client.Stats().Ping.Count)
	})
}

func TestPingFindsADeadConnectionBeforeKeepAliveWouldLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := lively(srv, time.Hour)
		cfg.PingTimeout = 5 * time.Second
		client, conn := Open(t, srv, cfg)
		time.Sleep(time.Second) // what was heard before is no answer
		begun := time.Now()
		p := ping(t.Context(), client)
		conn.Want(&wire.Pingreq{})
		require.ErrorIs(t, p.Wait(), mqtt.ErrConnectionLost)
		require.LessOrEqual(t, time.Since(begun), 7*time.Second) // it may look as if PINGREQ left late
		require.False(t, mqtt.NotSent(p.Err))
		conn.WantClosed()
		srv.Connected(Resumed())
		require.Equal(t, uint64(1), client.Stats().Ended.KeepAlive)
	})
}

func TestPingNeedsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, err := mqtt.Start("mqtt://server", Quiet(srv))
		require.NoError(t, err)
		defer client.Close()
		_, err = client.Ping(t.Context())
		require.ErrorIs(t, err, mqtt.ErrNotConnected)
		require.True(t, mqtt.NotSent(err))
		require.EqualError(t, err, "mqtt: ping: not connected (not sent)")
		conn := srv.Connected(&wire.Connack{})
		synctest.Wait()

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = client.Ping(ended)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, mqtt.NotSent(err))
		conn.WantIdle()

		lost := ping(t.Context(), client)
		conn.Want(&wire.Pingreq{})
		conn.Close()
		require.ErrorIs(t, lost.Wait(), mqtt.ErrConnectionLost)
		conn = srv.Connected(&wire.Connack{})
		synctest.Wait()
		conn.WantIdle()

		closed := ping(t.Context(), client)
		conn.Want(&wire.Pingreq{})
		require.NoError(t, client.Close())
		require.ErrorIs(t, closed.Wait(), mqtt.ErrClosed)
		_, err = client.Ping(t.Context())
		require.ErrorIs(t, err, mqtt.ErrClosed)
		require.True(t, mqtt.NotSent(err))
	})
}
