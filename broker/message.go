package broker

import (
	"bytes"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/wire"
)

// message is a published message on its way to the subscribers. Most messages are
// written to connections at once and never copied.
type message struct {
	publish     wire.Publish // without PacketID, Duplicate, topic alias and subscription identifiers
	expires     time.Time    // zero: never
	from        string       // client identifier of the publisher; empty: none
	bytes       int          // see size
	kept        *message     // the copy that owns its memory
	unrefusable bool         // there is no publisher to tell of a refusal

	copies atomic.Int32 // number of copies of a kept message, see holder.keep
	payer  *holder      // of a retained message; guarded by hub.mu
	number uint64       // orders the messages that are or were retained
}

// expiry is expires for the copies in queues, which share it; nil: never.
func (m *message) expiry() *time.Time {
	if m.expires.IsZero() {
		return nil
	}
	return &m.expires
}

// newMessage returns a message that shares the payload of p, but not its properties.
func newMessage(p *wire.Publish, from string, now time.Time) *message {
	own := *p
	own.Properties = copyProperties(p.Properties)
	m := new(message)
	m.set(&own, from, now)
	return m
}

// set makes m represent p, whose memory it shares. It clears the topic alias and the
// subscription identifiers in the properties of p.
func (m *message) set(p *wire.Publish, from string, now time.Time) {
	*m = message{publish: *p, from: from}
	// [MQTT-3.3.1-3] DUP is about one exchange, not about the message.
	m.publish.PacketID, m.publish.Duplicate = 0, false
	properties := p.Properties
	if properties != nil {
		properties.TopicAlias, properties.SubscriptionIDs = 0, nil
	}
	m.bytes = m.publish.Cost()
	if properties == nil {
		return
	}
	if interval := properties.MessageExpiryInterval; interval != nil {
		m.expires = now.Add(time.Duration(*interval) * time.Second)
	}
}

// keep returns the copy of m to keep. The copy has memory of its own and is shared by
// all holders of the message.
func (m *message) keep() *message {
	if m.kept == nil {
		kept := &message{publish: m.publish, expires: m.expires, from: m.from, bytes: m.bytes, unrefusable: m.unrefusable}
		kept.publish.Payload = bytes.Clone(m.publish.Payload)
		kept.publish.Properties = copyProperties(m.publish.Properties)
		kept.kept = kept
		m.kept = kept
	}
	return m.kept
}

// size returns what m counts against limits in bytes.
func (m *message) size() int { return m.bytes }

func (m *message) expired(now time.Time) bool {
	return !m.expires.IsZero() && !now.Before(m.expires)
}

func copyProperties(p *wire.PublishProperties) *wire.PublishProperties {
	if p == nil {
		return nil
	}
	q := *p
	if p.MessageExpiryInterval != nil {
		q.MessageExpiryInterval = new(*p.MessageExpiryInterval)
	}
	q.CorrelationData = bytes.Clone(p.CorrelationData)
	q.UserProperties = slices.Clone(p.UserProperties)
	q.SubscriptionIDs = slices.Clone(p.SubscriptionIDs)
	return &q
}

// record returns the record of m. The error says why the message has no encoding.
func (m *message) record() ([]byte, error) {
	r := records.Message{Publish: m.publish, Expires: m.expires, From: m.from}
	return r.Value()
}

// messageOf returns the message of a record, whose memory it takes over.
func messageOf(r records.Message) *message {
	m := &message{publish: r.Publish, expires: r.Expires, from: r.From}
	m.bytes = m.publish.Cost()
	m.kept = m
	return m
}
