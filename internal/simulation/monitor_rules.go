package simulation

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// sentPublish judges a PUBLISH of the client.
func (m *monitor) sentPublish(p *wire.Publish) {
	msg := m.d.w.byPayload[string(p.Payload)]
	if msg == nil || msg.by != m.d || msg.qos != p.QoS {
		m.fail("it sends a message that nobody has published: %s", words(p))
		return
	}
	again := msg.sent
	msg.sent = true
	switch {
	case msg.durable && !msg.accepted:
		m.fail("%s is sent before the store has it", msg.payload)
	case msg.withdrawn:
		m.fail("%s was taken back and is sent", msg.payload)
	case p.QoS > m.maximumQoS:
		m.fail("%s is above the maximum QoS", msg.payload)
	case !again && p.Duplicate && !msg.recovered:
		m.fail("%s is sent for the first time with DUP", msg.payload)
	}
	m.checkAlias(p, msg)
	if p.QoS == wire.AtMostOnce {
		return
	}
	x, used := m.exchange[p.PacketID]
	switch {
	case m.requests[p.PacketID]:
		m.fail("identifier %d of %s is one of a request", p.PacketID, msg.payload)
	case used && x.message != msg:
		m.fail("identifier %d of %s is still in use for %s", p.PacketID, msg.payload, x.payload)
	case used && x.released:
		m.fail("%s is sent again after PUBREC", msg.payload)
	case used && !x.old:
		m.fail("%s is sent twice on one connection", msg.payload)
	case used && !p.Duplicate:
		m.fail("%s is repeated without DUP", msg.payload)
	}
	if !used {
		if p.Duplicate && m.fresh {
			m.fail("%s has DUP in a new session", msg.payload)
		}
		for id, other := range m.exchange {
			if other.message == msg {
				m.fail("%s has identifiers %d and %d", msg.payload, id, p.PacketID)
			}
		}
	}
	for id, other := range m.exchange {
		if other.old && other.released {
			m.fail("PUBLISH before PUBREL %d of an earlier connection", id)
		}
		if other.old && other.message != msg && other.number < msg.number && !other.exposed {
			m.fail("%s is sent before the repeat of %s", msg.payload, other.payload)
		}
	}
	m.exchange[p.PacketID] = exchange{message: msg, written: used && x.written}
	m.unwritten = append(m.unwritten, p.PacketID)
	m.counted[p.PacketID] = true
	if most := m.receiveMax; len(m.counted) > most {
		m.fail("%d messages are open, and the server takes %d", len(m.counted), most)
	}
	if most := m.d.w.schedule.Setup.Inflight; most > 0 && len(m.counted) > most {
		m.fail("%d messages are open, and our own limit is %d", len(m.counted), most)
	}
}

// checkAlias judges the topic of p.
func (m *monitor) checkAlias(p *wire.Publish, msg *message) {
	topic := p.Topic
	if p.Properties != nil && p.Properties.TopicAlias != 0 {
		alias := p.Properties.TopicAlias
		if int(alias) > m.aliasMax {
			m.fail("alias %d of %s is above %d", alias, msg.payload, m.aliasMax)
		}
		if topic != "" {
			m.aliases[alias] = topic
		}
		topic = m.aliases[alias]
	}
	if topic != msg.topic {
		m.fail("%s goes to topic %q and not to %q", msg.payload, topic, msg.topic)
	}
}

// answered judges PUBACK or PUBREC: they come in the order of arrival, for what the program
// has acknowledged.
func (m *monitor) answered(packet uint16, qos wire.QoS) {
	i := slices.IndexFunc(m.arrived, func(a arrival) bool { return a.qos == qos })
	if i < 0 {
		m.fail("it answers %d, which has not come", packet)
		return
	}
	a := m.arrived[i]
	if a.packet != packet {
		m.fail("it answers %d before %d", packet, a.packet)
		return
	}
	m.arrived = slices.Delete(m.arrived, i, i+1)
	if !a.acked && !a.exempt {
		m.fail("it acknowledges %s before the program", a.text)
	}
}

// gets sees a packet that the client is about to handle.
func (m *monitor) gets(h wire.Header, body []byte) {
	packet, err := m.in.Decode(h, slices.Clone(body))
	if err != nil {
		m.d.w.fail("the simulation sent what cannot be decoded: %w", err)
		return
	}
	switch p := packet.(type) {
	case *wire.Connack:
		m.receiveMax, m.aliasMax = 65535, int(p.TopicAliasMaximum)
		if p.ReceiveMaximum > 0 {
			m.receiveMax = int(p.ReceiveMaximum)
		}
		if p.MaximumQoS != nil {
			m.maximumQoS = *p.MaximumQoS
		}
	case *wire.Publish:
		if p.QoS > 0 {
			if x := m.delivery(string(p.Payload)); x != nil {
				m.arrived = append(m.arrived, arrival{x, p.PacketID})
			}
		}
	case *wire.Pubrel:
		m.asked[p.PacketID]++
	case *wire.Puback:
		m.finished(p.PacketID)
	case *wire.Pubcomp:
		m.finished(p.PacketID)
	case *wire.Pubrec:
		x, ok := m.exchange[p.PacketID]
		if p.ReasonCode.Failed() {
			m.finished(p.PacketID)
		} else if ok {
			x.released, x.old = true, false
			m.exchange[p.PacketID] = x
		}
	case *wire.Suback:
		delete(m.requests, p.PacketID)
	case *wire.Unsuback:
		delete(m.requests, p.PacketID)
	}
}

// over notes that the engine has given up a message whose answer did not come. At QoS 2 the
// server may know its identifier, which stays taken.
func (m *monitor) over(msg *message) {
	for id, x := range m.exchange {
		if x.message != msg {
			continue
		}
		delete(m.counted, id)
		if x.old, x.gone = false, true; msg.qos == wire.ExactlyOnce {
			m.exchange[id] = x
		} else {
			delete(m.exchange, id)
		}
	}
}

func (m *monitor) finished(packet uint16) {
	delete(m.exchange, packet)
	delete(m.counted, packet)
}
