package mqtttest

import "github.com/seed65a45251/mqtt/wire"

// order says which packets a packet may overtake. A packet with the zero value
// overtakes no other, and no other overtakes it.
type order struct {
	free     bool
	sequence string // packets of one sequence stay in order; empty: no sequence
}

// orderOf returns the order of a packet.
func (b *Broker) orderOf(l *link, p *Packet) order {
	if p.Direction != Down || b.lineOf(l).random == nil {
		return order{}
	}
	switch q := p.Packet.(type) {
	case *wire.Publish:
		// The meaning of an alias depends on the last packet that set it.
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
