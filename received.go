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
	m.own()
	return m
}

// own copies what m has from the engine, apart from the payload.
func (m *Message) own() {
	if m.CorrelationData != nil {
		m.CorrelationData = bytes.Clone(m.CorrelationData)
	}
	if m.UserProperties != nil {
		m.UserProperties = slices.Clone(m.UserProperties)
	}
}

// receive fills in m, which is zero: what stays zero is not written, because a
// write of a pointer is dear while the garbage collector is at work.
func (m *Message) receive(in *session.Received, payload []byte, o *origin) {
	p := &in.Publish
	m.Topic, m.Payload = p.Topic, payload
	m.QoS, m.Retain, m.Duplicate = p.QoS, p.Retain, p.Duplicate
	m.receipt.origin = o
	if !in.Token.IsZero() {
		m.receipt.token = in.Token
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
