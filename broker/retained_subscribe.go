package broker

import (
	"math"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/wire"
)

// startWalkLocked makes the walk of a new subscription, in place of one under way.
// The walk waits for SUBACK. Called with hub.mu held.
func (h *hub) startWalkLocked(s *subscription) {
	again := s.walk != nil && !s.walk.over.Load()
	s.walk.endLocked()
	s.walk = h.newWalkLocked(s)
	s.walk.again = again
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.client.addWalkLocked(s.walk)
}

// firstStepLocked returns the budget for sending retained messages at once. It is
// empty if the client still has to get retained messages or other data that waits.
// Called with hub.mu held.
func (h *hub) firstStepLocked(s *subscription) budget {
	w := s.walk
	if w == nil || w.over.Load() {
		return budget{}
	}
	if s.local != nil {
		return budget{topics: math.MaxInt, text: math.MaxInt}
	}
	cl := s.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if w.again || w.next != "" || cl.walks[0] != w || !cl.takesMoreLocked() {
		return budget{} // the connection may have begun the walk already
	}
	e := step()
	e.topics = min(e.topics, 1+h.retained.topics.Len())
	return e
}

// retainedForLocked calls yield for the first retained messages of a new
// subscription, and leaves the others to its walk. [MQTT-3.3.1-9] Called with hub.mu
// held.
func (h *hub) retainedForLocked(s *subscription, now time.Time, yield func(*message, *target)) {
	if s.local == nil && s.client.subscriptions[s.whole] != s {
		return // replaced meanwhile
	}
	t := s.retainedTarget()
	for _, m := range h.sys.messagesLocked(s.filter, now) {
		yield(m, &t)
	}
	if work := h.firstStepLocked(s); !work.spent() {
		if s.walk.beginLocked(work, now, yield); s.walk.over.Load() {
			s.walk = nil
		}
	}
}

// sendRetainedLocked sends the first retained messages to a new subscriber.
func (h *hub) sendRetainedLocked(s *subscription, r *router, now time.Time) {
	h.retainedForLocked(s, now, func(m *message, t *target) { t.deliver(m, r, now) })
}

// wantsRetained reports whether a subscription gets the retained messages.
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

// reserveRetainedLocked adds to copies the first retained messages for s, and to t
// what has to be stored of them, so that a resumed session does not get them again.
func (h *hub) reserveRetainedLocked(copies []delivery, t *journal.Task, s *subscription, now time.Time) []delivery {
	h.retainedForLocked(s, now, func(m *message, to *target) {
		each := []delivery{{message: m, target: *to}}
		if !to.atMostOnce(m) {
			ok := false
			if each[0], _, ok = reserve(m, to, now); !ok {
				return
			}
		}
		if err := h.pack(t, m, each); err != nil {
			giveUp(each) // has no encoding: as if too large for the client
			return
		}
		copies = append(copies, each...)
	})
	return copies
}

// releaseRetained sends a retained message that is stored. A message at QoS 0 that
// was replaced meanwhile is left out, because its successor may already have been sent.
// [MQTT-4.6.0-6]
func (h *hub) releaseRetained(one []delivery, now time.Time) {
	m := one[0].message
	if topic := m.publish.Topic; one[0].entry == nil && !isStatus(topic) {
		h.mu.RLock() // so that no message is replaced in between
		defer h.mu.RUnlock()
		if h.retained.topics.get(topic) != m {
			return
		}
	}
	h.release(one, now)
}
