package broker

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// target is one copy of a message: the client that gets it, and what its
// subscriptions say about the copy.
type target struct {
	client *client
	local  program  // nil: the copy is for client
	qos    wire.QoS // granted; the highest of several subscriptions
	retain bool     // the RETAIN flag of the copy
	stored bool     // the message was retained; it goes through the queue, which checks its age
	group  *group   // the shared subscription that it comes through, as a copy of its own; nil: none
	ids    []uint32 // subscription identifiers
	walks  []*walk  // of the subscriptions; they may still have retained messages to send
	before *message // the message that was retained before; nil: no walk can need it
}

// router holds scratch memory for sending messages, and the connections that have
// something to write since the last flush.
type router struct {
	matched    []*subscription
	ordered    []ordered // scratch memory of gather
	targets    []target
	ids        []uint32
	properties wire.PublishProperties
	dirty      []connection
	frames     frames
}

// endMessage forgets everything about one message.
func (r *router) endMessage() {
	clear(r.matched)
	clear(r.targets)
	r.frames.end()
}

// flush wakes the writers of the connections in r.
func (r *router) flush() {
	for _, c := range r.dirty {
		c.wake()
	}
	clear(r.dirty)
	r.dirty = r.dirty[:0]
}

// publish retains m if it asks for that, and sends it to all subscribers. If it has to
// wait for the store, pending is not nil, and code is the answer to the publisher if
// the store takes it.
func (h *hub) publish(r *router, m *message, now time.Time, from publisher) (code wire.ReasonCode, pending *publication) {
	change := h.changes.next()
	if !h.route(r, m, now, &from) {
		h.counts.denied.Add(1)
		return wire.QuotaExceeded, nil
	}
	defer r.endMessage()
	code = wire.Success
	if len(r.targets) == 0 {
		code = wire.NoMatchingSubscribers
	}
	if h.mustCommit(r, m, &from) {
		if pending = h.commitPublish(r, m, now, newPublication(from, code), change); pending == nil {
			return wire.UnspecifiedError, nil // it has no encoding
		}
		return code, pending
	}
	if lost := r.deliver(m, now); len(lost) > 0 {
		pending = newPublication(from, code)
		pending.message = m.keep()
		if !h.passOn(lost, r, now, pending) {
			return code, nil
		}
	}
	return code, pending
}

// deliver sends m to all targets. It returns the copies that other members of shared
// subscriptions have to take.
func (r *router) deliver(m *message, now time.Time) (lost []orphan) {
	for i := range r.targets {
		if t := &r.targets[i]; !t.deliver(m, r, now) {
			lost = append(lost, orphan{message: m.keep(), group: t.group.whole, not: t.client})
		}
	}
	return lost
}

// route finds the targets of m. A retained message is stored under the same lock, so
// that a new subscriber gets it either as retained or as live. It returns false if
// there is no space for the retained message.
func (h *hub) route(r *router, m *message, now time.Time, from *publisher) bool {
	var before *message
	if m.publish.Retain {
		h.mu.Lock()
		defer h.mu.Unlock()
		before = h.retainedIfWalkedLocked(m)
		if !h.retained.store(m, h.payerOf(from), &h.cfg, now) {
			return false
		}
	} else {
		h.mu.RLock()
		defer h.mu.RUnlock()
		before = h.retainedIfWalkedLocked(m)
	}
	r.matched = h.routes.Append(r.matched[:0], m.publish.Topic)
	r.chooseLocked(m)
	if before != nil {
		for i := range r.targets {
			r.targets[i].before = before
		}
	}
	return true
}

// retainedIfWalkedLocked returns the retained message of the topic of m if there are
// walks that may still have to send it. Called with hub.mu held.
func (h *hub) retainedIfWalkedLocked(m *message) *message {
	if h.walks.Load() == 0 {
		return nil
	}
	return h.retained.topics.get(m.publish.Topic)
}

// chooseLocked turns the matching subscriptions into targets: one per client, whatever
// the number of its filters, and one per shared subscription. Called with hub.mu held.
func (r *router) chooseLocked(m *message) {
	r.targets, r.ids = r.targets[:0], r.ids[:0]
	if overlapping(r.matched) {
		// This puts the subscriptions of one client next to each other.
		// [MQTT-3.3.4-2]
		r.gather()
	}
	for _, s := range r.matched {
		if s.group != nil {
			if s = s.group.pickLocked(); s == nil {
				continue // no member may have it
			}
		} else if s.noLocal && s.client.id == m.from {
			// [MQTT-3.8.3-3]
			continue
		}
		r.add(s, m)
	}
}

func (r *router) add(s *subscription, m *message) {
	add := s.target(m)
	if n := len(r.targets); n > 0 && s.group == nil && r.targets[n-1].group == nil && r.targets[n-1].client == s.client {
		t := &r.targets[n-1]
		t.qos = max(t.qos, s.granted())
		t.retain = t.retain || add.retain
		if s.id != 0 {
			// The identifiers of the last target are at the end of r.ids, so this
			// appends to them.
			r.ids = append(r.ids, s.id)
			t.ids = r.ids[len(r.ids)-len(t.ids)-1:]
		}
		t.walks = append(t.walks, add.walks...)
		return
	}
	if s.id != 0 {
		r.ids = append(r.ids, s.id)
		add.ids = r.ids[len(r.ids)-1:]
	}
	r.targets = append(r.targets, add)
}

// deliver passes the copy on. It never waits. It returns false if the copy has come
// through a shared subscription and another member has to take it.
func (t *target) deliver(m *message, r *router, now time.Time) bool {
	if t.local != nil {
		t.local.offer(m, t.retain)
		return true
	}
	return t.client.deliver(m, t, r, now) || t.group == nil
}

// overlapping reports whether there are subscriptions with different filters, so that
// one client may occur twice.
func overlapping(matched []*subscription) bool {
	for _, s := range matched {
		if s.filter != matched[0].filter {
			return true
		}
	}
	return false
}

// payerOf returns the name of the holder that pays for a retained message.
func (h *hub) payerOf(from *publisher) string {
	switch {
	case from.client != nil:
		return from.client.sessionCharge.memory.name
	case from.will != nil:
		return h.cfg.payer(from.will.peer)
	}
	return ""
}

// ordered is a subscription with its order. Looking the order up for every comparison
// would touch thousands of subscriptions that are scattered in memory.
type ordered struct {
	order        uint64
	subscription *subscription
}

// gather puts subscriptions of one client next to each other.
func (r *router) gather() {
	r.ordered = r.ordered[:0]
	for _, s := range r.matched {
		r.ordered = append(r.ordered, ordered{s.order(), s})
	}
	slices.SortFunc(r.ordered, func(a, b ordered) int { return cmp.Compare(a.order, b.order) })
	for i, o := range r.ordered {
		r.matched[i] = o.subscription
	}
	clear(r.ordered)
}

// target returns the copy of m that s gets.
func (s *subscription) target(m *message) target {
	t := target{client: s.client, local: s.local, qos: s.granted(), group: s.group}
	// [MQTT-3.3.1-12], [MQTT-3.3.1-13]
	t.retain = m.publish.Retain && s.retainAsPublished
	if s.walk != nil {
		t.walks = []*walk{s.walk}
	}
	return t
}
