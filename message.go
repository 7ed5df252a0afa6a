package mqtt

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// Message is an Application Message, received or to be published.
//
// A received message belongs to its receiver. The library neither writes into it nor
// uses any part of it for another message, unless SubscribeOptions.Lend is set. It may
// be copied by value at any time; copies share their acknowledgement.
//
// Publishing only reads a message. The message must not be changed until the call that
// publishes it has returned or, with PublishAsync, its Delivery is done. A received
// message can be published as it is; what only the server may set (Duplicate,
// SubscriptionIDs) is left out.
//
// The fields below Duplicate exist in 5.0 only. Publishing a message that has one of
// them set fails on an older connection, except for MessageExpiryInterval.
type Message struct {
	Topic   string
	Payload []byte
	QoS     QoS
	Retain  bool
	// NotQueued says that the message is not worth sending later. If it cannot be sent at
	// once, publishing fails at once: with ErrNotConnected without a connection, and with
	// ErrQueueFull where it would have to wait for other messages, for acknowledgements or
	// for the network. NotSent is true for both. Once it was sent it is like any other, but
	// it is not in Config.Store.
	NotQueued bool
	// NotStored keeps the message out of Config.Store: it is lost with the process.
	NotStored bool
	Duplicate bool // the server sent it before; read only

	// PayloadFormatUTF8 says that the payload is text.
	PayloadFormatUTF8 bool

	firstID [1]uint32 // space for SubscriptionIDs: it is almost always one
	arrived arrival   // of a received message with MessageExpiryInterval

	// MessageExpiryInterval is how long the message is worth delivering, in whole
	// seconds, rounded up. Zero is sent as it is; a value between zero and a second is
	// refused. If nil, the message never expires. In a received message it is the time
	// that was left.
	//
	// The interval runs while a message waits to be sent, also without a connection. If
	// it ends before, the message is not sent and fails with ErrExpired at that time.
	// Before 5.0, which cannot tell the server, that is all it does.
	MessageExpiryInterval *time.Duration
	// ContentType describes the payload, for example as a MIME type.
	ContentType string
	// ResponseTopic is where a response is expected. If it is "", none is expected.
	ResponseTopic string
	// CorrelationData is how the sender of a request recognises the response. If nil,
	// there is none.
	CorrelationData []byte
	// UserProperties go to the receiver in this order.
	UserProperties []UserProperty
	// SubscriptionIDs are the identifiers of the subscriptions that the server matched;
	// read only.
	SubscriptionIDs []uint32

	acknowledger acknowledger // never written once somebody has the message
}

// Ack acknowledges a received message. Only ManualAck needs it, and a QoS 0 message
// needs none. Acknowledgements reach the server in the order in which the messages
// came, whatever the order of the Ack calls, unless Config.AcknowledgeOutOfOrder is
// set. When several Subscriptions got the message, the last Ack counts. Further calls,
// also on copies of the message, do nothing.
//
// Ack survives reconnects. Without a connection the client remembers it, and does not
// deliver the message again when the server repeats it. (A QoS 1 message comes again
// when the PUBACK was sent and got lost.) ErrStale says that the server lost the
// session meanwhile; the server may send the message as a new one. After the end of the
// client Ack returns why the client ended.
func (m *Message) Ack() error {
	return m.acknowledger.acknowledgeNow()
}

// weight is what m counts for where messages wait: see [wire.Publish.Cost].
func (m *Message) weight() int {
	q := wire.PublishProperties{
		ContentType: m.ContentType, ResponseTopic: m.ResponseTopic, CorrelationData: m.CorrelationData,
		UserProperties: m.UserProperties, SubscriptionIDs: m.SubscriptionIDs,
	}
	p := wire.Publish{Topic: m.Topic, Payload: m.Payload, Properties: &q}
	return p.Cost()
}

// Clone returns a copy that shares nothing with m. A handler that is lent a message
// keeps the copy. The copy can be published; its Ack does nothing.
func (m *Message) Clone() *Message {
	c := *m
	c.acknowledger.holdID = holdID{} // the copy has the key of m
	c.Payload = append([]byte{}, m.Payload...)
	if d := m.MessageExpiryInterval; d != nil {
		c.MessageExpiryInterval = new(*d)
	}
	c.CorrelationData = bytes.Clone(m.CorrelationData)
	c.UserProperties = slices.Clone(m.UserProperties)
	c.SubscriptionIDs = slices.Clone(m.SubscriptionIDs)
	return &c
}

// content returns a message that says the same as m, without what belongs to one
// that was received.
func (m *Message) content() *Message {
	return &Message{
		Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, NotQueued: m.NotQueued, NotStored: m.NotStored,
		PayloadFormatUTF8:     m.PayloadFormatUTF8,
		MessageExpiryInterval: m.MessageExpiryInterval,
		ContentType:           m.ContentType,
		ResponseTopic:         m.ResponseTopic,
		CorrelationData:       m.CorrelationData,
		UserProperties:        m.UserProperties,
	}
}

// hasProperties says whether the packet for m has properties.
func (m *Message) hasProperties() bool {
	return m.PayloadFormatUTF8 || m.MessageExpiryInterval != nil || m.ContentType != "" ||
		m.ResponseTopic != "" || m.CorrelationData != nil || len(m.UserProperties) > 0
}

// publish returns the packet for m. Its payload and properties are m's.
func (m *Message) publish() (p wire.Publish) {
	m.setPacket(&p)
	return p
}

// setPacket is publish for the hot path: it makes no copy of the packet. p has to be zero.
func (m *Message) setPacket(p *wire.Publish) {
	p.Topic, p.Payload, p.QoS, p.Retain = m.Topic, m.Payload, m.QoS, m.Retain
	if m.hasProperties() {
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
}

// seconds rounds up: a message must not expire earlier than asked for.
func seconds(d time.Duration) uint32 {
	return uint32(min((d+time.Second-1)/time.Second, math.MaxUint32))
}

// validate refuses what no server could accept.
func (m *Message) validate() error {
	if err := validatePublish(m.Topic, m.Payload, m.QoS); err != nil || !m.hasProperties() {
		return err
	}
	if d := m.MessageExpiryInterval; d != nil {
		if *d < 0 {
			return invalid("message expiry interval", "%v is negative", *d)
		}
		if err := checkSeconds("message expiry interval", *d); err != nil {
			return err
		}
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

// UserProperty returns the value of the first of m.UserProperties with that name. ok
// reports whether there is one.
func (m *Message) UserProperty(name string) (value string, ok bool) {
	for _, p := range m.UserProperties {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// propertyText makes of s what a user property can hold, and not too much of it.
func propertyText(s string) string {
	const longest = 1024
	s = strings.ReplaceAll(strings.ToValidUTF8(s, string(utf8.RuneError)), "\x00", "")
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") // without half a character
	}
	return s
}
