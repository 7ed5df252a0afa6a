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
	memory  *quota
	changes *changes  // follow what the store has to be told
	purged  time.Time // when those that have expired were last looked for
}

func newRetained(b *Broker) retained { return retained{memory: b.memory, changes: &b.changes} }

// store keeps m as the retained message of its topic, or removes that if m is
// empty. It changes nothing and returns false if there is no room, in all or in the share
// of who pays for it.
func (r *retained) store(m *message, payer string, cfg *Config, now time.Time) bool {
	topic := m.publish.Topic
	if len(m.publish.Payload) == 0 {
		// [MQTT-3.3.1-6], [MQTT-3.3.1-7]
		r.remove(topic)
		return true
	}
	if r.replaceWithin(m, payer, cfg) {
		return true
	}
	// Not for every message, as it looks at all that is there.
	if now.Sub(r.purged) < sweepInterval {
		return false
	}
	r.purged = now
	r.purge(now)
	return r.replaceWithin(m, payer, cfg)
}

// replaceWithin makes m the message of its topic if there is room. [MQTT-3.3.1-5] It
// replaces what was there.
func (r *retained) replaceWithin(m *message, payer string, cfg *Config) bool {
	if !r.hasRoom(m, cfg) {
		return false
	}
	topic := m.publish.Topic
	old := r.put(topic, nil, "") // its room is free for m
	h := r.memory.join(payer)
	kept := h.keep(m, costOfRetained(m))
	if kept == nil {
		h.leave()
		if old != nil {
			r.putBack(old)
		}
		return false
	}
	r.set(kept, h)
	r.changes.retainedChanged(topic, old, kept)
	return true
}

// put makes m the message of topic, whatever is left; nil: none. It returns what was
// there.
func (r *retained) put(topic string, m *message, payer string) (old *message) {
	if old, _ = r.topics.Get(topic); old != nil {
		r.topics.Delete(topic)
		r.bytes -= old.size()
		old.payer.drop(old, costOfRetained(old))
		old.payer.leave()
	}
	if m != nil {
		h := r.memory.join(payer)
		h.chargeCopy(m, costOfRetained(m))
		r.set(m, h)
	}
	return old
}

// putBack puts m, which was replaced or removed, in its old place.
func (r *retained) putBack(m *message) { r.put(m.publish.Topic, m, m.payer.name) }

// set is for what its payer has been charged for.
func (r *retained) set(m *message, payer *holder) {
	m.payer = payer
	r.topics.Set(m.publish.Topic, m)
	r.bytes += m.size()
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
	if old := r.put(topic, nil, ""); old != nil {
		r.changes.retainedChanged(topic, old, nil)
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
