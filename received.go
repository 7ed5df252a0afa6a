package mqtt

import (
	"bytes"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// ownedMessage makes a message that shares nothing with what the engine lends.
func ownedMessage(in *session.Received, o *origin) *Message {
	m, payload := allocate(in.Publish.Payload)
	m.receive(in, payload, o)
	if p := in.Publish.Properties; p != nil {
		m.CorrelationData = bytes.Clone(p.CorrelationData)
		m.UserProperties = slices.Clone(p.UserProperties)
	}
	return m
}

// receive overwrites m with what the engine lends.
func (m *Message) receive(in *session.Received, payload []byte, o *origin) {
	p := &in.Publish
	*m = Message{
		Topic:     p.Topic,
		Payload:   payload,
		QoS:       p.QoS,
		Retain:    p.Retain,
		Duplicate: p.Duplicate,
		receipt:   receipt{origin: o, token: in.Token},
	}
	q := p.Properties
	if q == nil {
		return
	}
	m.PayloadFormatUTF8 = q.PayloadFormatUTF8
	if q.MessageExpiryInterval != nil {
		m.MessageExpiryInterval = new(time.Duration(*q.MessageExpiryInterval) * time.Second)
	}
	m.ContentType = q.ContentType
	m.ResponseTopic = q.ResponseTopic
	m.CorrelationData = q.CorrelationData
	m.UserProperties = q.UserProperties
	if len(q.SubscriptionIDs) > 0 {
		m.SubscriptionIDs = append(m.firstID[:0], q.SubscriptionIDs...)
	}
}

// allocate returns a message and a copy of payload, which is never nil. A small
// one lies behind its message in the same piece of memory: one allocation, whose
// sizes are those that the runtime hands out anyway.
func allocate(payload []byte) (*Message, []byte) {
	n := len(payload)
	switch {
	case n == 0:
		return new(Message), []byte{}
	case n <= 32:
		r := new(roomy[[32]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 64:
		r := new(roomy[[64]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 128:
		r := new(roomy[[128]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 192:
		r := new(roomy[[192]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 256:
		r := new(roomy[[256]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 320:
		r := new(roomy[[320]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 504:
		r := new(roomy[[504]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 824:
		r := new(roomy[[824]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	}
	return new(Message), bytes.Clone(payload)
}

// roomy is a message with room for its payload.
type roomy[Room any] struct {
	Message
	room Room
}
