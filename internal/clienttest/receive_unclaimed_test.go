package clienttest

import (
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

// catchAll connects to a server that sends messages right behind CONNACK.
func catchAll(t *testing.T, srv *mqtttest.Server, cfg mqtt.Config, messages ...wire.Packet) (*mqtt.Client, *mqtttest.Conn) {
	t.Helper()
	d := Dial(t, cfg)
	conn := srv.Accept()
	conn.WantConnect()
	conn.Send(append([]wire.Packet{&wire.Connack{}}, messages...)...)
	synctest.Wait()
	return d.Client(t), conn
}

func TestWhatComesBehindConnackWaitsForARoute(t *testing.T) {
	for name, set := range map[string]func(*mqtt.Config){
		"bounded in number": func(c *mqtt.Config) { c.HoldUnclaimed = 3 },
		"bounded in time":   func(c *mqtt.Config) { c.HoldUnclaimedFor = time.Second },
		"forever":           func(c *mqtt.Config) { c.HoldUnclaimedFor = -1 },
		"with Resume":       func(c *mqtt.Config) { c.HoldUnclaimedFor, c.Resume = time.Second, true },
	} {
		t.Run(name, func(t *testing.T) {
			Each(t, func(t *testing.T, v wire.Version) {
				srv := mqtttest.NewServer(t, v)
				cfg := Quiet(srv)
				set(&cfg)
				client, conn := catchAll(t, srv, cfg, Pub(0, 0, "0"), Pub(1, 1, "1"), Pub(2, 2, "2"))
				conn.WantIdleFor(0)
				all, err := client.Route("#")
				require.NoError(t, err)
				WantMessages(t, all, "0", "1", "2")
				conn.Want(Puback(1), Pubrec(2))
				require.Zero(t, client.Stats().Unclaimed)
				conn.Send(To("other", Pub(3, 1, "3")))
				WantMessages(t, all, "3")
				conn.Want(Puback(3))
			})
		})
	}
}

func TestWhatNobodyClaimsIsDroppedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.HoldUnclaimedFor = 5 * time.Second
		client, conn := catchAll(t, srv, cfg, Pub(0, 0, "x"), Pub(1, 1, "x"))
		events := client.Watch(t.Context())
		began := time.Now()
		conn.Want(Puback(1))
		require.Equal(t, 5*time.Second, time.Since(began))
		require.True(t, Seen(events, func(e mqtt.Event) bool { return errors.Is(e.Err, mqtt.ErrUnclaimed) }))
		require.Equal(t, uint64(2), client.Stats().Unclaimed)
		conn.Send(Pub(0, 0, "late"), Pub(2, 1, "late"))
		conn.Want(Puback(2))
		late, err := client.Route("#")
		require.NoError(t, err)
		WantMessages(t, late)
	})
}

func TestWhatWaitsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.HoldUnclaimed = 2
		client, conn := catchAll(t, srv, cfg, Pub(0, 0, "0"), Pub(0, 0, "1"), Pub(0, 0, "2"), Pub(1, 1, "3"))
		conn.Want(Puback(1))
		all, err := client.Route("#")
		require.NoError(t, err)
		WantMessages(t, all, "0", "1")
		require.Equal(t, uint64(2), client.Stats().Unclaimed)
	})
}

func TestWhatWaitsAtQoS0IsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.HoldUnclaimedFor = time.Minute
		var messages []wire.Packet
		for range 20 {
			messages = append(messages, Pub(0, 0, string(make([]byte, 1<<20-1000))))
		}
		client, _ := catchAll(t, srv, cfg, messages...)
		require.Equal(t, uint64(4), client.Stats().Unclaimed)
	})
}
