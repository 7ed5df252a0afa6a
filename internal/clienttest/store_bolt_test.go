package clienttest

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// TestAFullStoreIsEmptied needs real sockets and a real file.
func TestAFullStoreIsEmptied(t *testing.T) {
	for _, size := range []int{1000, 3000, 100_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			file, err := bolt.Open(filepath.Join(t.TempDir(), "client"), bolt.Config{MaxSize: 1 << 20})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, file.Close()) })
			b := mqtttest.NewBroker(t)
			b.Stop()
			client, err := mqtt.Start(b.URL(), mqtt.Config{ClientID: "c1", Dial: b.Dial, Store: file, QueueMessages: 1 << 20})
			require.NoError(t, err)
			t.Cleanup(func() { client.Close() })
			accepted := 0
			for err == nil {
				_, err = client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: mqtt.QoS(1 + accepted%2), Payload: make([]byte, size)})
				if err == nil {
					accepted++
				}
			}
			require.ErrorIs(t, err, store.ErrFull)
			require.True(t, mqtt.NotSent(err))
			b.Start()
			require.NoError(t, client.Reconnect(t.Context()))
			require.NoError(t, client.Flush(t.Context()))
			require.NoError(t, client.Disconnect(t.Context()))
			for r, err := range file.Scan([]byte("C")) {
				require.NoError(t, err)
				require.NotContains(t, []string{"Cm", "Ce", "Cx"}, string(r.Key[:2]))
			}
			require.Positive(t, accepted)
		})
	}
}
