package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// retained holds the last retained message of each topic.
type retained struct {
	topics  match.TopicTree[*message]
	bytes   int
	changes *changes  // follow what the store has to be told
	purged  time.Time // when those that have expired were last looked for
}

// store keeps m as the retained message of its topic, or removes that if m is
// empty. It changes nothing and returns false if there is no room.
func (r *retained) store(m *message, cfg *Config, now time.Time) bool {
	topic := m.publish.Topic
	if len(m.publish.Payload) == 0 {
		// [MQTT-3.3.1-6], [MQTT-3.3.1-7]
		r.remove(topic)
		return true
	}
	if !r.hasRoom(m, cfg) {
		// Not for every message, as it looks at all that is there.
		if now.Sub(r.purged) < sweepInterval {
			return false
		}
		r.purged = now
		r.purge(now)
		if !r.hasRoom(m, cfg) {
			return false
		}
	}
	// [MQTT-3.3.1-5] it replaces what was there.
	r.replace(topic, m.keep())
	return true
}

// put makes m the message of topic; nil: none. It returns what was there.
func (r *retained) put(topic string, m *message) (old *message) {
	if old, _ = r.topics.Get(topic); old != nil {
		r.topics.Delete(topic)
		r.bytes -= old.size()
	}
	if m != nil {
		r.topics.Set(topic, m)
		r.bytes += m.size()
	}
	return old
}

// replace is put for what the store has to be told.
func (r *retained) replace(topic string, m *message) {
	r.changes.retainedChanged(topic, r.put(topic, m), m)
}

// hasRoom reports whether m may be put.
func (r *retained) hasRoom(m *message, cfg *Config) bool {
	count, bytes := r.topics.Len()+1, r.bytes+m.size()
	if old, ok := r.topics.Get(m.publish.Topic); ok {
		count, bytes = count-1, bytes-old.size()
	}
	return count <= cfg.RetainedMessages && bytes <= cfg.RetainedBytes
}

func (r *retained) remove(topic string) {
	if _, ok := r.topics.Get(topic); ok {
		r.replace(topic, nil)
	}
}

// purge removes what has expired, outside the topics of servers.
func (r *retained) purge(now time.Time) { r.matching("#", now) }

// matching returns the messages that match filter and removes those that have
// expired.
func (r *retained) matching(filter string, now time.Time) []*message {
	var found, old []*message
	for _, m := range r.topics.Match(filter) {
		if m.expired(now) {
			old = append(old, m)
		} else {
			found = append(found, m)
		}
	}
	for _, m := range old {
		r.remove(m.publish.Topic)
	}
	return found
}

// effort is how many messages matching looks at, at most.
func (r *retained) effort(filter string) int {
	if match.HasWildcard(filter) {
		return 1 + r.topics.Len()
	}
	return 1
}

// retainedFor calls yield for what a new subscription is sent. [MQTT-3.3.1-9]
// Broker.mu is held.
func (b *Broker) retainedFor(s *subscription, now time.Time, yield func(*message, *target)) {
	t := target{client: s.client, local: s.local, qos: s.qos, retain: true, stored: true}
	if s.id != 0 {
		t.ids = []uint32{s.id}
	}
	for _, m := range b.retained.matching(s.filter, now) {
		if !s.noLocal || m.from != s.client.id {
			yield(m, &t)
		}
	}
	for _, m := range b.statusFor(s.filter, now) {
		yield(m, &t)
	}
}

// sendRetained sends a new subscriber what is retained.
func (b *Broker) sendRetained(s *subscription, r *router, now time.Time) {
	b.retainedFor(s, now, func(m *message, t *target) { t.deliver(m, r, now) })
}

// wantsRetained says whether a subscription is sent the retained messages.
func wantsRetained(f *wire.SubscribeFilter, isNew bool) bool {
	switch f.RetainHandling {
	case wire.SendRetained:
		return true
	case wire.SendRetainedIfNew:
		// [MQTT-3.3.1-10]
		return isNew
	}
	// [MQTT-3.3.1-11]
	return false
}
