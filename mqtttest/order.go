package mqtttest

import "github.com/seed65a45251/mqtt/wire"

// order says what a packet may overtake. The zero value is for packets that
// nothing overtakes and that overtake nothing.
type order struct {
	free     bool
	sequence string // packets of one sequence stay in order; empty: of none
}

// orderOf returns the order of a packet.
func (b *Broker) orderOf(l *link, p *Packet) order {
	if p.Direction != Down || b.lineOf(l).random == nil {
		return order{}
	}
	switch q := p.Packet.(type) {
	case *wire.Publish:
		// An alias means what the last packet that set it says.
		if q.Properties != nil && q.Properties.TopicAlias != 0 {
			return order{}
		}
		// [MQTT-4.6.0-6] messages on one topic.
		return order{free: true, sequence: "topic " + q.Topic}
	case *wire.Puback, *wire.Pubrec, *wire.Pubrel:
		// [MQTT-4.6.0-2], [MQTT-4.6.0-3], [MQTT-4.6.0-4]
		return order{free: true, sequence: q.Type().String()}
	case *wire.Pubcomp, *wire.Suback, *wire.Unsuback, *wire.Pingresp:
		return order{free: true}
	}
	return order{}
}

func (o order) mayOvertake(earlier order) bool {
	return o.free && earlier.free && (o.sequence == "" || o.sequence != earlier.sequence)
}
