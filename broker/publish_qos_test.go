package broker

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

var versions = []wire.Version{wire.V31, wire.V311, wire.V5}

func TestEveryQoSPairDeliversTheLower(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			pub, _ := join(t, b, v, &wire.Connect{ClientID: "pub", CleanStart: true})
			for granted := range wire.QoS(3) {
				sub, _ := join(t, b, v, &wire.Connect{ClientID: "sub", CleanStart: true})
				sub.subscribe(filter("a/+", granted))
				for qos := range wire.QoS(3) {
					text := fmt.Sprint(granted, qos)
					publishAs(pub, "a/b", text, qos)
					got := receiveAs(sub)
					require.Equal(t, text, string(got.Payload))
					require.Equal(t, min(granted, qos), got.QoS)
					require.False(t, got.Duplicate)
				}
				sub.idle()
				sub.send(&wire.Disconnect{})
				sub.closed()
			}
			pub.idle()
		})
	}
}

// publishAs goes through the whole exchange of the sender.
func publishAs(s *script, topic, payload string, qos wire.QoS) {
	s.t.Helper()
	p := message0(topic, payload)
	p.QoS = qos
	if qos > 0 {
		p.PacketID = 77
	}
	s.send(p)
	switch qos {
	case wire.AtLeastOnce:
		require.Equal(s.t, uint16(77), receive[*wire.Puback](s).PacketID)
	case wire.ExactlyOnce:
		require.Equal(s.t, uint16(77), receive[*wire.Pubrec](s).PacketID)
		s.send(&wire.Pubrel{PacketID: 77})
		s.want(&wire.Pubcomp{PacketID: 77})
	}
}

// receiveAs goes through the whole exchange of the receiver.
func receiveAs(s *script) *wire.Publish {
	s.t.Helper()
	p := receive[*wire.Publish](s)
	switch p.QoS {
	case wire.AtLeastOnce:
		s.send(&wire.Puback{PacketID: p.PacketID})
	case wire.ExactlyOnce:
		s.send(&wire.Pubrec{PacketID: p.PacketID})
		s.want(&wire.Pubrel{PacketID: p.PacketID})
		s.send(&wire.Pubcomp{PacketID: p.PacketID})
	}
	return p
}
