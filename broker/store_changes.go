package broker

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// changes are the retained messages and subscriptions that the store has not got.
// Subscriptions count as soon as they are made, so that no message is missed that
// follows the SUBSCRIBE; what the store refuses is taken back. hub.mu guards them.
type changes struct {
	hub      *hub
	pending  atomic.Bool   // there may be something; a hint for code that does not hold hub.mu
	begun    bool          // begin was called, and end not; of the goroutine of the journal
	begins   atomic.Uint64 // of begin
	refused  uint64        // the last begin that failed, and why; of the goroutine of the journal
	refusal  error
	retained ledger[string, *message]
	filters  ledger[filterOf, *subscription]
}

// filterOf names a subscription.
type filterOf struct {
	client *client
	whole  string
}

// retainedChangedLocked is called when the retained message of topic, old, was replaced
// by now.
func (c *changes) retainedChangedLocked(topic string, old, now *message) {
	if !c.hub.persistence.Stores() {
		return
	}
	c.retained.note(topic, old)
	c.retained.replaced(topic, now)
	c.schedule()
}

// filterChangesLocked is called before a subscription of cl is replaced.
func (c *changes) filterChangesLocked(cl *client, whole string) {
	if cl.saved {
		c.filters.note(filterOf{cl, whole}, cl.subscriptions[whole])
		c.schedule()
	}
}

// walkEndedLocked is called when s, which the store has, has been sent its retained
// messages.
func (c *changes) walkEndedLocked(cl *client, s *subscription) {
	if cl.saved {
		c.filters.note(filterOf{cl, s.whole}, &subscription{walk: &walk{ended: s}})
		c.schedule()
	}
}

// owed returns the subscription that s stands for in the ledger, as the store has it: with
// retained messages that were still to be sent. It returns nil if s is one itself.
func (s *subscription) owed() *subscription {
	if s == nil || s.client != nil || s.walk == nil {
		return nil
	}
	return s.walk.ended
}

func (c *changes) schedule() {
	if !c.pending.Swap(true) {
		c.hub.persistence.Soon()
	}
}

func (c *changes) currentRetained(topic string) *message {
	return c.hub.retained.topics.get(topic)
}

func currentFilter(k filterOf) *subscription { return k.client.subscriptions[k.whole] }

// next returns the first begin that can have what is changed from now on.
func (c *changes) next() uint64 { return c.begins.Load() + 1 }

// refusedAt returns the error of what was changed before a begin that failed: it was
// taken back. change is what next returned then; 0: nothing was changed. It is for the
// goroutine of the journal.
func (c *changes) refusedAt(change uint64) error {
	if change == 0 || change > c.refused {
		return nil
	}
	return c.refusal
}

// begin appends what has changed to ops.
func (c *changes) begin(ops []store.Op) []store.Op {
	if !c.pending.Load() {
		return ops
	}
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	c.pending.Store(false)
	c.begun = true
	c.begins.Add(1)
	c.retained.begin(c.currentRetained, func(topic string, m *message) {
		op := records.Deletion(records.RetainedKey(topic))
		if m != nil {
			value, err := m.record()
			if err != nil {
				h.cfg.Logger.Error("retained message cannot be stored", "topic", topic, "error", err)
			} else {
				op.Value, op.Delete = value, false
			}
		}
		ops = append(ops, op)
	})
	c.filters.begin(currentFilter, func(k filterOf, s *subscription) {
		op := records.Deletion(records.SubscriptionKey(k.client.number, k.whole))
		if s != nil {
			op.Value, op.Delete = s.record(), false
		}
		ops = append(ops, op)
	})
	return ops
}

// end takes back what the store refused to somebody who waits for it. What nobody waits
// for is tried again.
func (c *changes) end(err error) {
	if !c.begun {
		return
	}
	c.begun = false
	ok := err == nil
	if !ok {
		c.refused, c.refusal = c.begins.Load(), err
	}
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	c.retained.end(ok, c.currentRetained, func(topic string, failed, durable *message) {
		if failed == nil || failed.publish.QoS == wire.AtMostOnce || failed.unrefusable {
			return
		}
		if durable != nil && !h.retained.fits(durable, &h.cfg) {
			return // its place is taken
		}
		if h.retained.put(topic, nil, ""); durable != nil {
			h.retained.putBack(durable)
		}
	})
	c.filters.end(ok, currentFilter, func(k filterOf, failed, durable *subscription) {
		if owed := durable.owed(); owed != nil {
			durable = owed
		}
		if k.client.gone || failed == durable {
			return
		}
		if failed == nil && !k.client.mayAdd(durable, &h.cfg) {
			return // its place is taken
		}
		if failed != nil {
			h.removeRouteLocked(failed)
			k.client.remove(k.whole)
		}
		if durable != nil {
			h.addRouteLocked(durable, durable.group != nil)
			k.client.add(durable)
		}
	})
	if len(c.retained.changes) > 0 || len(c.filters.changes) > 0 {
		c.pending.Store(true)
	}
}
