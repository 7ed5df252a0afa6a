package stresstest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// On a socket the reader wakes consumers when there is nothing more to read. No
// burst, however long, may leave its last messages behind.
func TestBurstsOverASocketArriveToTheLastMessage(t *testing.T) {
	srv := mqtttest.NewServer(t, wire.V5)
	var client *mqtt.Client
	opening := Begin(func() (err error) {
		client, err = mqtt.Connect(t.Context(), srv.URL(), mqtt.Config{KeepAlive: -1})
		return err
	})
	conn := srv.Connected(&wire.Connack{})
	require.NoError(t, opening.Wait())
	defer client.Close()
	one := Subscribe(t, client, conn, "t", 0)
	other := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("o"), BufferMessages: 3, Overflow: mqtt.Block})
	channel := one.Messages()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, size := range []int{1, 2, 15, 16, 511, 512, 513, 1500, 1} {
		var burst []wire.Packet
		for i := range size {
			burst = append(burst, Pub(0, 0, fmt.Sprint(i)), To("o", Pub(0, 0, fmt.Sprint(i))))
		}
		sent := Begin(func() error { conn.Send(burst...); return nil })
		for i := range size {
			select {
			case m := <-channel:
				require.Equal(t, fmt.Sprint(i), string(m.Payload))
			case <-ctx.Done():
				require.FailNow(t, "a message stayed behind", "%d of %d", i, size)
			}
			m, err := other.Next(ctx)
			require.NoError(t, err, "%d of %d", i, size)
			require.Equal(t, fmt.Sprint(i), string(m.Payload))
		}
		require.NoError(t, sent.Wait())
	}
}
