package broker

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/internal/brief"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// changes are the retained messages and subscriptions that are not stored yet. A
// subscription takes effect as soon as it is made, so that the client gets all
// messages that follow its SUBSCRIBE. If the store refuses it, it is taken back.
// hub.mu guards the ledgers.
type changes struct {
	hub      *hub
	pending  atomic.Bool   // there may be changes; a hint for code that does not hold hub.mu
	begun    bool          // between begin and end; used by the journal's goroutine only
	begins   atomic.Uint64 // counts the calls of begin
	refused  uint64        // number and error of the last begin that failed; used by the journal's goroutine only
	refusal  error
	retained ledger[string, *message]
	filters  ledger[filterOf, *subscription]
}

// filterOf names a subscription.
type filterOf struct {
	client *client
	whole  string
}

// retainedChangedLocked is called after now has replaced old as the retained message of
// topic.
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

// walkEndedLocked is called when s, which is stored, has got all its retained
// messages.
func (c *changes) walkEndedLocked(cl *client, s *subscription) {
	if cl.saved {
		c.filters.note(filterOf{cl, s.whole}, &subscription{walk: &walk{ended: s}})
		c.schedule()
	}
}

// owed returns the subscription that s stands for in the ledger: the one in the store,
// whose retained messages were still to be sent. It returns nil if s does not stand for
// another.
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

// next returns the number of the first begin that can contain changes made from now
// on.
func (c *changes) next() uint64 { return c.begins.Load() + 1 }

// refusedAt returns an error if a change was part of a begin that failed, and was
// therefore taken back. change is the result of next before the change; 0 means that
// nothing was changed. Only the goroutine of the journal calls it.
func (c *changes) refusedAt(change uint64) error {
	if change == 0 || change > c.refused {
		return nil
	}
	return c.refusal
}

// begin appends the changes to ops.
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
				h.cfg.Logger.Error("retained message cannot be stored", "topic", brief.Text(topic), "error", err)
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

// end takes back refused changes that a client waits for. Changes that no client waits
// for are tried again.
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
			return // another message has taken its place
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
			return // another subscription has taken its place
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
