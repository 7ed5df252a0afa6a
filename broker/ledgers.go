package broker

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// ledgers hold the retained messages and subscriptions that the disk has not got.
// Subscriptions count as soon as they are made, so that no message is missed that
// follows the SUBSCRIBE; what the disk refuses is taken back. Broker.mu guards them.
type ledgers struct {
	changed  atomic.Bool // there may be something; a hint for who does not hold Broker.mu
	begun    bool        // begin was called, and end not; of the disk's goroutine
	begins   atomic.Uint64
	refused  uint64 // the last begin that failed, and why; of the disk's goroutine
	refusal  error
	retained ledger[string, *message]
	filters  ledger[filterOf, *subscription]
}

// filterOf names a subscription.
type filterOf struct {
	client *client
	whole  string
}

// noteRetained is called before the retained message of topic, old, is replaced.
func (d *disk) noteRetained(topic string, old *message) {
	d.ledgers.retained.note(topic, old)
	if !d.changed.Swap(true) {
		d.mu.Lock()
		d.arm(lazyDelay)
		d.mu.Unlock()
	}
}

// noteFilter is called before a subscription of cl is replaced.
func (d *disk) noteFilter(cl *client, whole string) {
	if !cl.recorded {
		return
	}
	d.filters.note(filterOf{cl, whole}, cl.subscriptions[whole])
	if !d.changed.Swap(true) {
		d.mu.Lock()
		d.arm(lazyDelay)
		d.mu.Unlock()
	}
}

func (d *disk) currentRetained(topic string) *message {
	m, _ := d.b.retained.topics.Get(topic)
	return m
}

func currentFilter(k filterOf) *subscription { return k.client.subscriptions[k.whole] }

// beginLedgers appends what has changed to ops.
func (d *disk) beginLedgers(ops []store.Op) []store.Op {
	if !d.changed.Load() {
		return ops
	}
	b := d.b
	b.mu.Lock()
	defer b.mu.Unlock()
	d.changed.Store(false)
	d.begun = true
	d.begins.Add(1)
	d.ledgers.retained.begin(d.currentRetained, func(topic string, m *message) {
		op := deletion(retainedKey(topic))
		if m != nil {
			value, err := messageValue(m)
			if err != nil {
				b.cfg.Logger.Error("retained message can not be stored", "topic", topic, "error", err)
			} else {
				op.Value, op.Delete = value, false
			}
		}
		ops = append(ops, op)
	})
	d.filters.begin(currentFilter, func(k filterOf, s *subscription) {
		op := deletion(filterKey(k.client.number, k.whole))
		if s != nil {
			op.Value, op.Delete = s.value(), false
		}
		ops = append(ops, op)
	})
	return ops
}

// next returns the first begin that can have what is changed from now on.
func (l *ledgers) next() uint64 { return l.begins.Load() + 1 }

// endLedgers takes back what somebody was not promised. What nobody waits for is
// tried again.
func (d *disk) endLedgers(err error) {
	if !d.begun {
		return
	}
	d.begun = false
	ok := err == nil
	if !ok {
		d.refused, d.refusal = d.begins.Load(), err
	}
	b := d.b
	b.mu.Lock()
	defer b.mu.Unlock()
	d.ledgers.retained.end(ok, d.currentRetained, func(topic string, failed, durable *message) {
		if failed == nil || failed.publish.QoS == wire.AtMostOnce || failed.insists {
			return
		}
		if durable != nil && !b.retained.room(durable, &b.cfg) {
			return // its place is taken
		}
		b.retained.put(topic, durable)
	})
	d.filters.end(ok, currentFilter, func(k filterOf, failed, durable *subscription) {
		if k.client.gone {
			return
		}
		if failed == nil && !k.client.mayAdd(durable, &b.cfg) {
			return // its place is taken
		}
		if failed != nil {
			b.removeSubscription(failed)
			k.client.remove(k.whole)
		}
		if durable != nil {
			b.place(durable, durable.group != nil)
			k.client.add(durable)
		}
	})
	if len(d.ledgers.retained.changes) > 0 || len(d.filters.changes) > 0 {
		d.changed.Store(true)
	}
}
