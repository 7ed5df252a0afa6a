package mqtttest

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// What the broker does about a message of the test is no leak of the program.
func TestPublishLeavesNoLabel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBrokerWith(t, Config{Buffer: 64})
		nc, err := b.Dial(t.Context(), "", "")
		require.NoError(t, err)
		defer nc.Close()
		subscribeAll(t, nc)
		b.HalfOpen()
		for range 100 {
			b.Publish(&wire.Publish{Topic: "t", Payload: make([]byte, 64<<10)})
		}
		synctest.Wait() // the broker's writer is stuck
		require.Empty(t, goroutines(b.recorder.label))
	})
}

func subscribeAll(t *testing.T, nc net.Conn) {
	t.Helper()
	raw, err := (&wire.Connect{ClientID: "c", CleanStart: true}).Append(nil, wire.V5)
	require.NoError(t, err)
	raw, err = (&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: "t"}}}).Append(raw, wire.V5)
	require.NoError(t, err)
	_, err = nc.Write(raw)
	require.NoError(t, err)
	r := wire.NewReader(nc, wire.V5, 0)
	for range 2 {
		_, _, err := r.ReadPacket()
		require.NoError(t, err)
	}
}
