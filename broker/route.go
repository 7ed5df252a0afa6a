package broker

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// target is one copy of a message: the client that gets it and what its
// subscriptions say about it.
type target struct {
	client *client
	qos    wire.QoS // granted; the highest of several subscriptions
	retain bool     // of the copy
	stored bool     // a retained message, which goes through the queue because of its age
	shared bool     // through a shared subscription: a copy of its own
	ids    []uint32 // subscription identifiers
}

// router holds what the sending of messages needs, to use it again, and the
// connections that have something to write since the last flush.
type router struct {
	matched    []*subscription
	targets    []target
	ids        []uint32
	properties wire.PublishProperties
	dirty      []*conn
}

// flush wakes the writers of all connections that got something.
func (r *router) flush() {
	for _, c := range r.dirty {
		c.wake()
	}
	clear(r.dirty)
	r.dirty = r.dirty[:0]
}

// publish keeps m if it is retained and sends it to all subscribers.
func (b *Broker) publish(r *router, m *message, now time.Time) wire.ReasonCode {
	m.b = b
	if !b.route(r, m, now) {
		b.counts.denied.Add(1)
		return wire.QuotaExceeded
	}
	if len(r.targets) == 0 {
		return wire.NoMatchingSubscribers
	}
	for i := range r.targets {
		r.targets[i].client.deliver(m, &r.targets[i], r, now)
	}
	clear(r.matched)
	clear(r.targets)
	return wire.Success
}

// route finds the targets of m. A retained message is stored under the same lock,
// so that a new subscriber gets it either as retained or as live. It returns false
// if there is no room for it.
func (b *Broker) route(r *router, m *message, now time.Time) bool {
	if m.publish.Retain {
		b.mu.Lock()
		defer b.mu.Unlock()
		if !b.retained.store(m, &b.cfg, now) {
			return false
		}
	} else {
		b.mu.RLock()
		defer b.mu.RUnlock()
	}
	r.matched = b.routes.Append(r.matched[:0], m.publish.Topic)
	r.choose(m)
	return true
}

// choose turns matching subscriptions into targets: one per client, whatever the
// number of its filters, and one per shared subscription.
func (r *router) choose(m *message) {
	r.targets, r.ids = r.targets[:0], r.ids[:0]
	if overlapping(r.matched) {
		// Subscriptions of one client stand together then. [MQTT-3.3.4-2]
		slices.SortStableFunc(r.matched, func(a, b *subscription) int {
			return cmp.Compare(a.order(), b.order())
		})
	}
	for _, s := range r.matched {
		if s.group != nil {
			if s = s.group.pick(); s == nil {
				continue
			}
		} else if s.noLocal && s.client.id == m.from {
			// [MQTT-3.8.3-3]
			continue
		}
		r.add(s, m)
	}
}

func (r *router) add(s *subscription, m *message) {
	// [MQTT-3.3.1-12], [MQTT-3.3.1-13]
	retain := m.publish.Retain && s.retainAsPublished
	if n := len(r.targets); n > 0 && s.group == nil && !r.targets[n-1].shared && r.targets[n-1].client == s.client {
		t := &r.targets[n-1]
		t.qos = max(t.qos, s.qos)
		t.retain = t.retain || retain
		if s.id != 0 {
			// The identifiers of the last target are the end of r.ids.
			r.ids = append(r.ids, s.id)
			t.ids = r.ids[len(r.ids)-len(t.ids)-1:]
		}
		return
	}
	t := target{client: s.client, qos: s.qos, retain: retain, shared: s.group != nil}
	if s.id != 0 {
		r.ids = append(r.ids, s.id)
		t.ids = r.ids[len(r.ids)-1:]
	}
	r.targets = append(r.targets, t)
}

// overlapping reports whether subscriptions stand under more than one filter, so
// that a client may be among them twice.
func overlapping(matched []*subscription) bool {
	for _, s := range matched {
		if s.filter != matched[0].filter {
			return true
		}
	}
	return false
}
