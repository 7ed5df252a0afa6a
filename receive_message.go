package mqtt

import (
	"bytes"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// ownedMessage makes a message that shares nothing with what the engine lends.
// With several others get the same message, too.
func ownedMessage(in *session.Received, a acknowledger, several bool) *Message {
	m, payload := allocate(in.Publish.Payload)
	m.fill(in, payload, a)
	m.own(several)
	return m
}

// own copies what m has from the engine, apart from the payload. User properties were
// made for this message; only several that have it need a copy each.
func (m *Message) own(several bool) {
	if m.CorrelationData != nil {
		m.CorrelationData = bytes.Clone(m.CorrelationData)
	}
	if m.UserProperties != nil && several {
		m.UserProperties = slices.Clone(m.UserProperties)
	}
}

// fill fills in m, which is zero: what stays zero is not written, because a
// write of a pointer is dear while the garbage collector is at work.
func (m *Message) fill(in *session.Received, payload []byte, a acknowledger) {
	p := &in.Publish
	m.Topic, m.Payload = p.Topic, payload
	m.QoS, m.Retain, m.Duplicate = p.QoS, p.Retain, p.Duplicate
	if a.holds != nil {
		m.acknowledger = a
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
		r := new(padded[[32]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 80:
		r := new(padded[[80]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 144:
		r := new(padded[[144]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 208:
		r := new(padded[[208]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 272:
		r := new(padded[[272]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 336:
		r := new(padded[[336]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 520:
		r := new(padded[[520]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 840:
		r := new(padded[[840]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	}
	return new(Message), bytes.Clone(payload)
}

// padded is a message with space for its payload.
type padded[Space any] struct {
	Message
	space Space
}
