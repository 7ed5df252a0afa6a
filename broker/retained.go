package broker

import (
	"time"
)

// retained holds the last retained message of each topic. hub.mu guards it.
type retained struct {
	topics  topicIndex
	bytes   int
	last    uint64 // numbers the messages
	memory  *quota
	changed func(topic string, old, now *message) // called with hub.mu held
	purged  string                                // where those that have expired are looked for next
	purges  time.Time                             // when they were last looked for
}

func newRetained(memory *quota, changed func(topic string, old, now *message)) retained {
	return retained{memory: memory, changed: changed}
}

// store keeps m as the retained message of its topic, or removes that if m is
// empty. It changes nothing and returns false if there is no space, in all or in the share
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
	// Not for every message, as it takes a while.
	if now.Sub(r.purges) < purgeInterval {
		return false
	}
	r.purges = now
	r.purge(now)
	return r.replaceWithin(m, payer, cfg)
}

// replaceWithin makes m the message of its topic if there is space. [MQTT-3.3.1-5] It
// replaces what was there.
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

// put makes m the message of topic, whatever is left; nil: none. It returns what was
// there.
func (r *retained) put(topic string, m *message, payer string) (old *message) {
	if old = r.topics.get(topic); old != nil {
		r.topics.remove(topic)
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

// putBack puts m, which was replaced or removed, in its old place.
func (r *retained) putBack(m *message) { r.put(m.publish.Topic, m, m.payer.name) }

// set is for what its payer has been charged for.
func (r *retained) set(m *message, payer *holder) {
	if m.number == 0 {
		r.last++
		m.number = r.last
	}
	m.payer = payer
	r.topics.set(m)
	r.bytes += m.size()
}

// fits reports whether m may be put.
func (r *retained) fits(m *message, cfg *Config) bool {
	count, bytes := r.topics.len+1, r.bytes+m.size()
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

// purgeInterval is how often expired messages are looked for when there is no space.
const purgeInterval = 100 * time.Millisecond

// purge removes what has expired among the next topics.
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

// removeAll removes those that have not been replaced.
func (r *retained) removeAll(old []*message) {
	for _, m := range old {
		if topic := m.publish.Topic; r.topics.get(topic) == m {
			r.remove(topic)
		}
	}
}
