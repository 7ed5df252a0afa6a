package mqtt

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Message is an Application Message, received or to be published.
//
// A received message belongs to whoever received it: nothing of it is used again
// for another. (Small payloads that came together may lie side by side in one
// piece of memory of up to 8 KiB, which lives as long as one of them.) A message to be published is only read, and must not be changed until
// the call that publishes it has returned or, with PublishAsync, its Delivery is
// done. A received message can be published as it is; what only the server may
// set (Duplicate, SubscriptionIDs) is left out.
//
// The fields below Duplicate exist in 5.0 only; publishing a message that has
// one of them set fails on an older connection.
type Message struct {
	Topic     string
	Payload   []byte
	QoS       QoS
	Retain    bool
	Duplicate bool // the server sent it before; read only

	// PayloadFormatUTF8 says that the payload is text.
	PayloadFormatUTF8 bool
	// MessageExpiryInterval is how long the message is worth delivering, in whole
	// seconds, rounded up. Nil means for ever. In a received message it is what was
	// left. A message that waits to be sent ages, and fails with ErrExpired when
	// its time is up; zero is sent as it is.
	MessageExpiryInterval *time.Duration
	// ContentType describes the payload, for example as a MIME type.
	ContentType string
	// ResponseTopic is where an answer is expected; empty means none is.
	ResponseTopic string
	// CorrelationData is for the sender of a request to recognise the answer. Nil means absent.
	CorrelationData []byte
	// UserProperties go to the receiver in this order.
	UserProperties []UserProperty
	// SubscriptionIDs are the identifiers of the subscriptions that the server
	// matched; read only.
	SubscriptionIDs []uint32

	firstID [1]uint32 // room for SubscriptionIDs: it is almost always one
	receipt receipt
}

// receipt is what it takes to acknowledge a received message.
type receipt struct {
	client *Client
	token  session.Token
	claims *atomic.Int32 // of all Subscriptions that got the message; nil: one
	acked  uint32        // atomic
}

// Ack acknowledges a received message; it is needed with ManualAck only.
// Acknowledgements reach the server in the order in which the messages came,
// whatever the order of the Ack calls. A QoS 0 message needs none. When several
// Subscriptions got the message, the last Ack counts.
//
// Ack survives reconnects: without a connection it is remembered, and the
// message is not delivered again when the server repeats it. (A QoS 1 message
// comes again when the PUBACK was sent and got lost on its way.) ErrStale says
// that the server lost the session meanwhile; it may send the message as a new
// one. After the end of the client Ack returns why it ended. Further calls do
// nothing.
func (m *Message) Ack() error {
	return m.receipt.acknowledge()
}

func (r *receipt) acknowledge() error {
	if !r.due() {
		return nil
	}
	return r.client.acknowledge(r.token)
}

// due says, once, that the server has to be told.
func (r *receipt) due() bool {
	if r.token.IsZero() || !atomic.CompareAndSwapUint32(&r.acked, 0, 1) {
		return false
	}
	return r.claims == nil || r.claims.Add(-1) == 0
}

// newMessage makes a message of its own from what the engine lends. payload is
// a copy of the one lent.
func newMessage(p *wire.Publish, payload []byte) *Message {
	m := &Message{
		Topic:     p.Topic,
		Payload:   payload,
		QoS:       p.QoS,
		Retain:    p.Retain,
		Duplicate: p.Duplicate,
	}
	if m.Payload == nil {
		m.Payload = []byte{}
	}
	if q := p.Properties; q != nil {
		m.PayloadFormatUTF8 = q.PayloadFormatUTF8
		if q.MessageExpiryInterval != nil {
			m.MessageExpiryInterval = new(time.Duration(*q.MessageExpiryInterval) * time.Second)
		}
		m.ContentType = q.ContentType
		m.ResponseTopic = q.ResponseTopic
		m.CorrelationData = bytes.Clone(q.CorrelationData)
		m.UserProperties = slices.Clone(q.UserProperties)
		if len(q.SubscriptionIDs) > 0 {
			m.SubscriptionIDs = append(m.firstID[:0], q.SubscriptionIDs...)
		}
	}
	return m
}

// content returns a message that says the same as m, without what belongs to one
// that was received.
func (m *Message) content() *Message {
	return &Message{
		Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain,
		PayloadFormatUTF8:     m.PayloadFormatUTF8,
		MessageExpiryInterval: m.MessageExpiryInterval,
		ContentType:           m.ContentType,
		ResponseTopic:         m.ResponseTopic,
		CorrelationData:       m.CorrelationData,
		UserProperties:        m.UserProperties,
	}
}

// publish returns the packet for m. Its payload and properties are m's.
func (m *Message) publish() wire.Publish {
	p := wire.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain}
	if m.PayloadFormatUTF8 || m.MessageExpiryInterval != nil || m.ContentType != "" ||
		m.ResponseTopic != "" || m.CorrelationData != nil || len(m.UserProperties) > 0 {
		p.Properties = &wire.PublishProperties{
			PayloadFormatUTF8: m.PayloadFormatUTF8,
			ContentType:       m.ContentType,
			ResponseTopic:     m.ResponseTopic,
			CorrelationData:   m.CorrelationData,
			UserProperties:    m.UserProperties,
		}
		if m.MessageExpiryInterval != nil {
			p.Properties.MessageExpiryInterval = new(seconds(*m.MessageExpiryInterval))
		}
	}
	return p
}

// seconds rounds up: a message must not expire earlier than asked for.
func seconds(d time.Duration) uint32 {
	return uint32(min((d+time.Second-1)/time.Second, math.MaxUint32))
}

// validate refuses what no server could accept.
func (m *Message) validate() error {
	if err := validatePublish(m.Topic, m.Payload, m.QoS); err != nil {
		return err
	}
	if d := m.MessageExpiryInterval; d != nil && *d < 0 {
		return invalid("message expiry interval", "%v is negative", *d)
	}
	if m.ResponseTopic != "" {
		if err := match.ValidateTopic(m.ResponseTopic); err != nil {
			return invalid("response topic", "%w", err)
		}
	}
	if err := validateText("content type", m.ContentType); err != nil {
		return err
	}
	if len(m.CorrelationData) > math.MaxUint16 {
		return invalid("correlation data", "%d bytes, more than 65535", len(m.CorrelationData))
	}
	return validateUserProperties(m.UserProperties)
}

func validatePublish(topic string, payload []byte, qos QoS) error {
	if err := match.ValidateTopic(topic); err != nil {
		return &argumentError{err: err}
	}
	if qos > ExactlyOnce {
		return invalid("QoS", "%d is not 0, 1 or 2", qos)
	}
	// The rest of the packet is at most the topic, its length, an identifier
	// and the properties; the encoder checks the exact sum.
	if len(payload) > wire.MaxRemainingLength {
		return invalid("payload", "%d bytes, more than a packet can hold", len(payload))
	}
	return nil
}

func validateUserProperties(props []UserProperty) error {
	for _, p := range props {
		if err := validateText("user property name", p.Name); err != nil {
			return err
		}
		if err := validateText("user property value", p.Value); err != nil {
			return err
		}
	}
	return nil
}

// validateText checks a UTF-8 string of the protocol [MQTT-1.5.4-1], [MQTT-1.5.4-2].
func validateText(what, s string) error {
	switch {
	case len(s) > math.MaxUint16:
		return invalid(what, "%d bytes, more than 65535", len(s))
	case !utf8.ValidString(s):
		return invalid(what, "not valid UTF-8")
	case strings.IndexByte(s, 0) >= 0:
		return invalid(what, "contains U+0000")
	}
	return nil
}
