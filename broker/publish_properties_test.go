package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestAMessageWithTooManyPropertiesIsRefusedAndNobodyElseIsHurt(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		sub, s := clean(t, b, "sub"), clean(t, b, "s")
		sub.subscribe(wire.SubscribeFilter{Filter: "#", QoS: 2})
		excessive := wire.PublishProperties{TopicAlias: 1, UserProperties: make([]wire.UserProperty, 1<<16+1)}
		for qos := range wire.QoS(3) {
			p := &wire.Publish{Topic: "t", QoS: qos, Properties: &excessive}
			if qos > 0 {
				p.PacketID = 1
			}
			s.send(p)
			switch qos {
			case 1:
				s.want(&wire.Puback{PacketID: 1, ReasonCode: wire.QuotaExceeded, ReasonString: "too many properties"})
			case 2:
				s.want(&wire.Pubrec{PacketID: 1, ReasonCode: wire.QuotaExceeded, ReasonString: "too many properties"})
			}
			s.idle()
		}
		s.send(&wire.Publish{Payload: []byte("by its alias"), Properties: &wire.PublishProperties{TopicAlias: 1}})
		sub.want(&wire.Publish{Topic: "t", Payload: []byte("by its alias")})
		sub.idle()

		s.send(&wire.Subscribe{PacketID: 3, Filters: []wire.SubscribeFilter{{Filter: "a"}}, UserProperties: excessive.UserProperties})
		s.ended(wire.QuotaExceeded)
		require.EqualValues(t, 4, b.Stats().Received)
	})
}
