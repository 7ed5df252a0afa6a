package clienttest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// Where the session ends with the connection, a message that is too large for what is left
// of the space is lost, and those behind it are not.
func TestLargeMessageThatIsLostHoldsUpNoSmallerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		cfg := Quiet(srv)
		cfg.Version = mqtt.V311
		client, conn := Open(t, srv, cfg)
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: 1000})
		conn.Send(Pub(1, 1, "first"), Pub(2, 1, strings.Repeat("x", 5000)), Pub(3, 1, "second"), Pub(4, 1, "third"))
		time.Sleep(time.Minute)
		for _, want := range []string{"first", "second", "third"} {
			require.Equal(t, want, string(Next(t, sub).Payload))
		}
		require.EqualValues(t, 1, sub.Dropped())
	})
}
