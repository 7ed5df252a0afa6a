package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// The identifiers of QoS 2 messages are bounded in every version, also over many
// connections that finish nothing.
func TestOpenMessagesAreBoundedInEveryVersion(t *testing.T) {
	for _, v := range versions {
		run(t, Config{ReceiveMaximum: 2}, func(t *testing.T, b *Broker) {
			most, id := 0, uint16(0)
			for range 100 {
				s, _ := join(t, b, v, durableConnect(v, "c"))
				for range b.cfg.openMaximum(v) {
					id++
					s.send(&wire.Publish{Topic: "a", QoS: 2, PacketID: id})
					require.Equal(t, id, receive[*wire.Pubrec](s).PacketID)
				}
				most = max(most, b.clients["c"].receiver.Unfinished())
				id++
				s.send(&wire.Publish{Topic: "a", QoS: 2, PacketID: id})
				s.ended(wire.ReceiveMaximumExceeded)
			}
			require.LessOrEqual(t, most, 4*legacyWindow)
			require.Greater(t, most, legacyWindow)
		})
	}
}
