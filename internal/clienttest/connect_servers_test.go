package clienttest

import (
	"maps"
	"slices"
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

func TestServersAreTriedInOrderWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		w := &World{Servers: map[string]*mqtttest.Server{"10.0.0.3:1883": srv}}
		cfg := w.Config()
		cfg.Servers = []string{"mqtt://10.0.0.2", "mqtt://10.0.0.3", "mqtt://10.0.0.4"}
		begun := time.Now()
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		srv.Connected(&wire.Connack{})
		d.Client(t)
		require.Equal(t, []string{"10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883"}, w.Took())
		require.Zero(t, time.Since(begun))
	})
}

func TestBusyServerSendsUsToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &World{Servers: map[string]*mqtttest.Server{"10.0.0.1:1883": a, "10.0.0.2:1883": b}}
		cfg := w.Config()
		cfg.Servers = []string{"mqtt://10.0.0.2"}
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		a.Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		b.Connected(&wire.Connack{})
		d.Client(t)
	})
}

func TestPermanentRefusalByAnyServerEndsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &World{Servers: map[string]*mqtttest.Server{"10.0.0.1:1883": a, "10.0.0.2:1883": b}}
		cfg := w.Config()
		cfg.RetryFirst = true
		cfg.Servers = []string{"mqtt://10.0.0.2", "mqtt://10.0.0.3"}
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		a.Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		b.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		err := d.Call.Wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.True(t, mqtt.IsPermanent(err))
		require.Equal(t, []string{"10.0.0.1:1883", "10.0.0.2:1883"}, w.Took())
	})
}

func TestServerOrder(t *testing.T) {
	const short, healthy = time.Second, time.Minute
	for name, test := range map[string]struct {
		order mqtt.ServerOrder
		up    time.Duration
		next  string // what is tried first after a connection to the second of three
	}{
		"stays":                  {mqtt.StayWithServer, healthy, "2"},
		"leaves one that drops":  {mqtt.StayWithServer, short, "3"},
		"returns to the first":   {mqtt.FirstServerFirst, healthy, "1"},
		"the first after a drop": {mqtt.FirstServerFirst, short, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				w := &World{Servers: map[string]*mqtttest.Server{"10.0.0.2:1883": srv}}
				cfg := w.Config()
				cfg.ServerOrder = test.order
				cfg.Servers = []string{"mqtt://10.0.0.2", "mqtt://10.0.0.3"}
				d := Connect(t, "mqtt://10.0.0.1", cfg)
				conn := srv.Connected(&wire.Connack{})
				d.Client(t)
				<-time.After(test.up)
				w.Took()
				conn.Close()
				srv.Accept()
				require.Equal(t, "10.0.0."+test.next+":1883", w.Took()[0])
			})
		})
	}
}

func TestServerThatAcceptsAndDropsComesLastEvenIfItIsTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &World{Servers: map[string]*mqtttest.Server{"10.0.0.1:1883": a, "10.0.0.2:1883": b}}
		cfg := w.Config()
		cfg.ServerOrder = mqtt.FirstServerFirst
		cfg.Servers = []string{"mqtt://10.0.0.2"}
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		conn := a.Connected(&wire.Connack{})
		d.Client(t)
		conn.Close()
		b.Connected(&wire.Connack{})
	})
}

func TestRandomOrderSpreadsOverTheServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &World{}
		cfg := w.Config()
		cfg.RetryFirst, cfg.ServerOrder = true, mqtt.RandomServer
		cfg.Reconnect = reconnect.Policy{MaxAttempts: 300}
		cfg.Servers = []string{"mqtt://10.0.0.2", "mqtt://10.0.0.3"}
		require.ErrorIs(t, Connect(t, "mqtt://10.0.0.1", cfg).Call.Wait(), mqtt.ErrRetriesExhausted)
		first := map[string]int{}
		for round := range slices.Chunk(w.Took(), 3) {
			first[round[0]]++
			require.ElementsMatch(t, []string{"10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883"}, round)
		}
		require.Len(t, first, 3)
		require.Greater(t, slices.Min(slices.Collect(maps.Values(first))), 50)
	})
}

func TestBackOffIsBetweenRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &World{}
		cfg := w.Config()
		cfg.RetryFirst = true
		cfg.Reconnect = reconnect.Policy{Min: time.Hour, Max: time.Hour, MaxAttempts: 1}
		cfg.Servers = []string{"mqtt://10.0.0.2", "mqtt://10.0.0.3"}
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		require.Len(t, w.Took(), 3)
		require.ErrorIs(t, d.Call.Wait(), mqtt.ErrRetriesExhausted)
		require.Len(t, w.Took(), 3)
	})
}
