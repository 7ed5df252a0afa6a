package mqtttest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// A service reconnects: break what it stands on in every way that a network and
// a server have, and see that it works again each time.
func TestExampleReconnect(t *testing.T) {
	for name, breakIt := range map[string]func(*mqtttest.Broker){
		"the connection is cut": func(b *mqtttest.Broker) {
			b.Drop()
		},
		"in the middle of an answer": func(b *mqtttest.Broker) {
			b.CutAt(mqtttest.Match{Type: wire.TypePingresp}, -1)
			b.Want(mqtttest.Match{Type: wire.TypePingreq})
		},
		"nobody answers any more, and nobody says so": func(b *mqtttest.Broker) {
			b.HalfOpen()
			time.Sleep(5 * time.Minute) // until keep-alive has noticed
			b.Heal()
		},
		"the server is away for an hour": func(b *mqtttest.Broker) {
			b.Stop()
			time.Sleep(time.Hour)
			b.Start()
		},
		"the server is busy when it comes back": func(b *mqtttest.Broker) {
			b.RefuseConnect(3, wire.ServerBusy)
			b.Drop()
		},
		"the server has lost the session": func(b *mqtttest.Broker) {
			b.LoseSession()
		},
		"the server has lost everything": func(b *mqtttest.Broker) {
			b.RestartEmpty()
		},
		"the new connection breaks within CONNACK": func(b *mqtttest.Broker) {
			b.Drop()
			b.CutAfter(mqtttest.Down, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				ctx, stop := context.WithCancel(t.Context())
				stopped := make(chan error, 1)
				cfg := mqtt.Config{ClientID: "watcher", Dial: b.Dial}
				go func() { stopped <- watchTemperatures(ctx, b.URL(), cfg) }()
				b.WantSubscribed("sensors/+/temp")

				breakIt(b)
				b.Want(mqtttest.Match{Type: wire.TypeConnack, Times: 2})
				b.WantConnected("watcher")
				b.WantSubscribed("sensors/+/temp")
				b.Publish(&wire.Publish{Topic: "sensors/7/temp", Payload: []byte("91.5")})
				b.WantPublished("alarms/7", "91.5")

				stop()
				require.ErrorIs(t, <-stopped, context.Canceled)
				b.WantNoLeak()
			})
		})
	}
}
