package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// A SUBSCRIBE that asks for all retained messages as often as a packet has space for would keep the
// broker busy for minutes. It may keep its own client busy, and nobody else.
func TestAHugeSubscribeHoldsUpNobodyElse(t *testing.T) {
	b := New(Config{})
	for i := range 1000 {
		require.NoError(t, b.Publish(&wire.Publish{Topic: fmt.Sprint("r/", i), Payload: []byte("x"), Retain: true}))
	}
	nc, err := b.Dial(t.Context())
	require.NoError(t, err)
	defer nc.Close()
	connect, err := (&wire.Connect{ClientID: "greedy", CleanStart: true}).Append(nil, wire.V5)
	require.NoError(t, err)
	many := &wire.Subscribe{PacketID: 1, Filters: make([]wire.SubscribeFilter, 1<<16)}
	for i := range many.Filters {
		many.Filters[i] = wire.SubscribeFilter{Filter: "#", NoLocal: i%2 == 0}
	}
	subscribe, err := many.Append(nil, wire.V5)
	require.NoError(t, err)
	go func() { _, _ = nc.Write(append(connect, subscribe...)) }() // until the broker closes
	require.NoError(t, nc.SetReadDeadline(time.Now().Add(10*time.Second)))
	r := wire.NewReader(nc, wire.V5, 0)
	for _, want := range []wire.PacketType{wire.TypeConnack, wire.TypeSuback, wire.TypePublish} {
		h, _, err := r.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, want, h.Type)
	}

	// The retained messages are on their way, and the client takes no more of them.
	done := make(chan error)
	go func() {
		for range 100 {
			if err := b.Publish(message0("other", "")); err != nil {
				done <- err
				return
			}
		}
		done <- b.Close()
	}()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		require.Fail(t, "the others wait")
	}
}
