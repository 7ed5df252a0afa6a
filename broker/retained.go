package broker

import (
	"time"
)

// retained holds the latest retained message of each topic. hub.mu guards it.
type retained struct {
	topics  topicIndex
	bytes   int
	last    uint64 // numbers the messages
	memory  *quota
	changed func(topic string, old, now *message) // called with hub.mu held
	purged  string                                // the topic at which the next purge begins
	purges  time.Time                             // the time of the last purge
}

func newRetained(memory *quota, changed func(topic string, old, now *message)) retained {
	return retained{memory: memory, changed: changed}
}

// store makes m the retained message of its topic, or removes the retained message if m
// is empty. If there is no space, in all or in the share of the payer, it changes nothing
// and returns false.
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
	// A purge takes a while, so not every message causes one.
	if now.Sub(r.purges) < purgeInterval {
		return false
	}
	r.purges = now
	r.purge(now)
	return r.replaceWithin(m, payer, cfg)
}

// replaceWithin makes m the message of its topic if there is space. [MQTT-3.3.1-5] It
// replaces the former message.
func (r *retained) replaceWithin(m *message, payer string, cfg *Config) bool {
	if !r.fits(m, cfg) {
		return false
	}
	topic := m.publish.Topic
	old := r.put(topic, nil, "") // its space is free for m
	h := r.memory.join(payer)
	kept := h.keep(m, retainedCost)
	if kept == nil {
		h.leave()
		if old != nil {
			r.putBack(old)
		}
		return false
	}
	r.set(kept, h)
	r.changed(topic, old, kept)
	return true
}

// put makes m the message of topic, even beyond the limits. If m is nil, it removes
// the message. It returns the former message.
func (r *retained) put(topic string, m *message, payer string) (old *message) {
	if old = r.topics.get(topic); old != nil {
		r.topics.Remove(topic)
		r.bytes -= old.size()
		old.payer.drop(old, retainedCost)
		old.payer.leave()
	}
	if m != nil {
		h := r.memory.join(payer)
		h.chargeCopy(m, retainedCost)
		r.set(m, h)
	}
	return old
}

// putBack puts m, which was replaced or removed, back in its place.
func (r *retained) putBack(m *message) { r.put(m.publish.Topic, m, m.payer.name) }

// set puts m, for which payer has been charged already.
func (r *retained) set(m *message, payer *holder) {
	if m.number == 0 {
		r.last++
		m.number = r.last
	}
	m.payer = payer
	r.topics.set(m)
	r.bytes += m.size()
}

// fits reports whether there is space for m.
func (r *retained) fits(m *message, cfg *Config) bool {
	count, bytes := r.topics.Len()+1, r.bytes+m.size()
	if old := r.topics.get(m.publish.Topic); old != nil {
		count, bytes = count-1, bytes-old.size()
	}
	return count <= cfg.RetainedMessages && bytes <= cfg.RetainedBytes
}

func (r *retained) remove(topic string) {
	if old := r.put(topic, nil, ""); old != nil {
		r.changed(topic, old, nil)
	}
}

// purgeInterval is the shortest time between two purges.
const purgeInterval = 100 * time.Millisecond

// purge removes the expired messages among the next topics.
func (r *retained) purge(now time.Time) {
	var old []*message
	var over bool
	work := budget{topics: 4096, text: 256 << 10} // a look is cheap
	r.purged, over = r.topics.all(r.purged, &work, func(m *message) {
		if m.expired(now) {
			old = append(old, m)
		}
	})
	if over {
		r.purged = ""
	}
	r.removeAll(old)
}

// removeAll removes those of the messages that have not been replaced.
func (r *retained) removeAll(old []*message) {
	for _, m := range old {
		if topic := m.publish.Topic; r.topics.get(topic) == m {
			r.remove(topic)
		}
	}
}
