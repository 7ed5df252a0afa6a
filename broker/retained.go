package broker

import (
	"math"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// retained holds the last retained message of each topic.
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
	// Not forevery message, as it takes a while.
	if now.Sub(r.purges) < purgeInterval {
		return false
	}
	r.purges = now
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

// hasRoom reports whether m may be put.
func (r *retained) hasRoom(m *message, cfg *Config) bool {
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

// purgeInterval is how often expired messages are looked for when there is no room.
const purgeInterval = 100 * time.Millisecond

// purge removes what has expired among the next topics.
func (r *retained) purge(now time.Time) {
	var old []*message
	var over bool
	work := effort{topics: 4096, text: 256 << 10} // a look is cheap
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

// startWalk makes the walk of a new subscription, in place of one that is under way;
// Broker.mu is held. It waits for SUBACK.
func (b *hub) startWalk(s *subscription) {
	again := s.walk != nil && !s.walk.over.Load()
	s.walk.end()
	s.walk = b.newWalk(s)
	s.walk.again = again
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.client.addWalkLocked(s.walk)
}

// firstStep returns how much of the retained messages is sent at once, which is nothing
// if the client has not got what it asked for before. Broker.mu is held.
func (b *hub) firstStep(s *subscription) effort {
	w := s.walk
	if w == nil || w.over.Load() {
		return effort{}
	}
	if s.local != nil {
		return effort{topics: math.MaxInt, text: math.MaxInt}
	}
	cl := s.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if w.again || w.next != "" || cl.walks[0] != w || !cl.takesMoreLocked() {
		return effort{} // the connection may have begun already
	}
	e := step()
	e.topics = min(e.topics, 1+b.retained.topics.len)
	return e
}

// retainedFor calls yield for the first of what a new subscription is sent, and leaves the
// rest to its walk. [MQTT-3.3.1-9] Broker.mu is held.
func (b *hub) retainedFor(s *subscription, now time.Time, yield func(*message, *target)) {
	if s.local == nil && s.client.subscriptions[s.whole] != s {
		return // replaced meanwhile
	}
	t := s.retainedTarget()
	for _, m := range b.status.messagesLocked(s.filter, now) {
		yield(m, &t)
	}
	if work := b.firstStep(s); !work.spent() {
		if s.walk.begin(work, now, yield); s.walk.over.Load() {
			s.walk = nil
		}
	}
}

// sendRetained sends a new subscriber what is retained.
func (b *hub) sendRetained(s *subscription, r *router, now time.Time) {
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
