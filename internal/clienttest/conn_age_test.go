package clienttest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestAnOldConnectionIsReplacedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.MaximumConnectionAge = time.Hour
		var causes []error
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			causes = append(causes, a.Cause)
			return nil
		}
		client, conn := Open(t, srv, cfg)
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true})
		for range 5 {
			begun := time.Now()
			published := PublishAsync(t, client, "out", 1)
			id := mqtttest.Take[*wire.Publish](conn).PacketID
			conn.Send(Pub(7, 1, "in"))
			require.NoError(t, Next(t, sub).Ack())
			conn.Want(Puback(7))
			replaced(t, conn)
			age := time.Since(begun)
			require.LessOrEqual(t, age, time.Hour)
			require.GreaterOrEqual(t, age, 45*time.Minute)
			conn.WantClosed()
			ended := time.Now()
			conn = srv.Connected(Resumed())
			require.Equal(t, ended, time.Now(), "there is no pause")
			Renewed(t, conn)
			conn.Want(Dup(id, 1, "out"))
			conn.Send(Puback(id))
			require.True(t, Settled(published))
		}
		require.Len(t, causes, 6)
		require.ErrorContains(t, causes[5], "MaximumConnectionAge")
	})
}

// replaced waits for the DISCONNECT of a connection that has grown old. It keeps the
// session.
func replaced(t *testing.T, conn *mqtttest.Conn) {
	t.Helper()
	p, ok := mqtttest.TakeWithin[*wire.Disconnect](conn, 2*time.Hour)
	require.True(t, ok)
	require.Equal(t, &wire.Disconnect{}, p)
}

func TestAgesOfConnectionsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.MaximumConnectionAge = time.Hour
		_, conn := Open(t, srv, cfg)
		early := 0
		const n = 60
		for range n {
			begun := time.Now()
			replaced(t, conn)
			age := time.Since(begun)
			require.LessOrEqual(t, age, time.Hour)
			require.GreaterOrEqual(t, age, 45*time.Minute)
			if age < 52*time.Minute {
				early++
			}
			conn.WantClosed()
			conn = srv.Connected(Resumed())
		}
		require.Positive(t, early)
		require.Less(t, early, n)
	})
}

// The server is gone when the time has come: the client goes on as after any other failure.
func TestAnOldConnectionThatCannotBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.MaximumConnectionAge = time.Hour
		refused := errors.New("no token")
		calls := 0
		cfg.Attempt = func(context.Context, *mqtt.Attempt) error {
			if calls++; calls > 1 && calls < 5 {
				return refused
			}
			return nil
		}
		client, conn := Open(t, srv, cfg)
		replaced(t, conn)
		conn.WantClosed()
		begun := time.Now()
		srv.Connected(Resumed())
		require.Positive(t, time.Since(begun))
		require.Equal(t, 5, calls)
		synctest.Wait()
		require.Equal(t, mqtt.Connected, client.State())
	})
}

func TestConnectionsLastWithoutALargestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		_, conn := Open(t, srv, Quiet(srv))
		conn.WantIdleFor(1000 * time.Hour)
	})
	_, err := mqtt.Start("mqtt://server", mqtt.Config{MaximumConnectionAge: -1})
	require.ErrorIs(t, err, mqtt.ErrInvalid)
}
