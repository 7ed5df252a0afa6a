package broker

import (
	"bytes"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/wire"
)

// message is a published message on its way to the subscribers. Most are written
// to connections at once and never copied.
type message struct {
	publish     wire.Publish // without PacketID, Duplicate, topic alias and subscription identifiers
	expires     time.Time    // zero: never
	from        string       // client identifier of the publisher; empty: none
	bytes       int          // see size
	kept        *message     // copy that owns its memory
	unrefusable bool         // nobody can be told that it was refused

	copies atomic.Int32 // of one that is kept, see holder.keep
	payer  *holder      // of one that is retained; hub.mu guards it
	number uint64       // of one that is or was retained, in the order in which they came
}

// newMessage returns a message that shares the payload of p, but not its properties.
func newMessage(p *wire.Publish, from string, now time.Time) *message {
	own := *p
	own.Properties = copyProperties(p.Properties)
	m := new(message)
	m.set(&own, from, now)
	return m
}

// set makes m stand for p, whose memory it shares and whose properties it adapts.
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

// keep returns m as it can be kept: with memory of its own, shared by all who
// keep it.
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

// size returns what m counts against limits of bytes.
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

// record returns the record of m. The error is about a message that has no encoding.
func (m *message) record() ([]byte, error) {
	r := records.Message{Publish: m.publish, Expires: m.expires, From: m.from}
	return r.Value()
}

// messageOf returns the message of a record, which owns its memory.
func messageOf(r records.Message) *message {
	m := &message{publish: r.Publish, expires: r.Expires, from: r.From}
	m.bytes = m.publish.Cost()
	m.kept = m
	return m
}
