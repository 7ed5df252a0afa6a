package mqtt

import (
	"bytes"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// ownedMessage makes a message that shares nothing with what the engine lends.
// With several others get the same message, too.
func ownedMessage(in *session.Received, r receipt, several bool) *Message {
	m, payload := allocate(in.Publish.Payload)
	m.receive(in, payload, r)
	m.own(several)
	return m
}

// own copies what m has from the engine, apart from the payload. User properties were
// made for this message; only several who have it need a copy each.
func (m *Message) own(several bool) {
	if m.CorrelationData != nil {
		m.CorrelationData = bytes.Clone(m.CorrelationData)
	}
	if m.UserProperties != nil && several {
		m.UserProperties = slices.Clone(m.UserProperties)
	}
}

// receive fills in m, which is zero: what stays zero is not written, because a
// write of a pointer is dear while the garbage collector is at work.
func (m *Message) receive(in *session.Received, payload []byte, r receipt) {
	p := &in.Publish
	m.Topic, m.Payload = p.Topic, payload
	m.QoS, m.Retain, m.Duplicate = p.QoS, p.Retain, p.Duplicate
	if r.holds != nil {
		m.receipt = r
	}
	q := p.Properties
	if q == nil {
		return
	}
	if len(q.SubscriptionIDs) > 0 {
		m.SubscriptionIDs = append(m.firstID[:0], q.SubscriptionIDs...)
	}
	m.PayloadFormatUTF8 = q.PayloadFormatUTF8
	if q.MessageExpiryInterval != nil {
		m.MessageExpiryInterval = new(time.Duration(*q.MessageExpiryInterval) * time.Second)
	}
	if q.ContentType != "" {
		m.ContentType = q.ContentType
	}
	if q.ResponseTopic != "" {
		m.ResponseTopic = q.ResponseTopic
	}
	if q.CorrelationData != nil {
		m.CorrelationData = q.CorrelationData
	}
	if q.UserProperties != nil {
		m.UserProperties = q.UserProperties
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
	case n <= 80:
		r := new(roomy[[80]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 144:
		r := new(roomy[[144]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 208:
		r := new(roomy[[208]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 272:
		r := new(roomy[[272]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 336:
		r := new(roomy[[336]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 520:
		r := new(roomy[[520]byte])
		copy(r.room[:], payload)
		return &r.Message, r.room[:n:n]
	case n <= 840:
		r := new(roomy[[840]byte])
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
