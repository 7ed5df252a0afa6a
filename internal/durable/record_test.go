package durable

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestARecordKnowsWhichUserPropertiesAreOptional(t *testing.T) {
	properties := []wire.UserProperty{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}, {Name: "c", Value: "3"}}
	for _, optional := range []uint16{0, 1, 3} {
		p := &wire.Publish{Topic: "t", QoS: 1, PacketID: 77, Properties: &wire.PublishProperties{UserProperties: properties, OptionalUserProperties: optional}}
		record, err := EncodeMessage(p, time.Time{}, time.Time{})
		require.NoError(t, err)
		m, err := decodeMessage(new(wire.Decoder), record)
		require.NoError(t, err)
		require.Equal(t, optional, m.publish.Properties.OptionalUserProperties)
		require.Equal(t, properties, m.publish.Properties.UserProperties)
		require.Zero(t, m.publish.PacketID)
	}
}
