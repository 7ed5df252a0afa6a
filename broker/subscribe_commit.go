package broker

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/wire"
)

// subscriptionTask returns what waits for changes of subscriptions that are made from
// now on, or nil if nothing does, as the session ends with the connection.
func (c *conn) subscriptionTask() *journal.Task {
	if !c.client.durable.Load() {
		return nil
	}
	b, change := c.b, c.b.changes.next()
	return &journal.Task{Share: &c.client.waiting, Refused: func() error { return b.changes.refusedAt(change) }}
}

// reserveRetained adds to copies what s is sent, and to t what of it has to be stored:
// a session that is resumed is not sent it again.
func (b *hub) reserveRetained(copies []delivery, t *journal.Task, s *subscription, now time.Time) []delivery {
	b.retainedFor(s, now, func(m *message, to *target) {
		each := []delivery{{message: m, target: *to}}
		if !to.atMostOnce(m) {
			ok := false
			if each[0], _, ok = reserve(m, to, now); !ok {
				return
			}
		}
		if err := b.pack(t, m, each); err != nil {
			giveUp(each) // has no encoding: as if too large for the client
			return
		}
		copies = append(copies, each...)
	})
	return copies
}

// commitSubscribe lets SUBACK wait for the store, together with the retained messages
// that follow it. Broker.mu is held.
func (c *conn) commitSubscribe(t *journal.Task, p *wire.Subscribe, ack *wire.Suback, why string, copies []delivery) {
	for i := range p.Filters {
		t.Cost += deliveryCost + len(p.Filters[i].Filter)
	}
	// The decoder's memory is used again.
	p = &wire.Subscribe{PacketID: p.PacketID, Filters: append([]wire.SubscribeFilter(nil), p.Filters...)}
	t.Done = func(err error) { c.subscribeCommitted(t, p, ack, why, copies, err) }
	c.b.persistence.Add(t)
}

// subscribeCommitted answers, and sends what is retained. [MQTT-3.8.4-1] SUBACK goes
// first, so that the client knows what it gets.
func (c *conn) subscribeCommitted(t *journal.Task, p *wire.Subscribe, ack *wire.Suback, why string, copies []delivery, err error) {
	if err != nil {
		giveUp(copies)
		for i, code := range ack.ReasonCodes {
			if !code.Failed() {
				ack.ReasonCodes[i], why = storeCode(err), storeFailed
			}
		}
	}
	if failed := c.explain(ack, &ack.ReasonString, why); failed != nil && !errors.Is(failed, errGone) {
		c.fail(&refusal{code: wire.PacketTooLarge, text: "SUBACK"})
	}
	c.b.rouse(c)
	if err != nil {
		return
	}
	c.client.letWalk()
	now := time.Now()
	for i := range copies {
		c.b.releaseRetained(copies[i:i+1], now)
	}
	c.b.persistence.tell(t, c.subscribed(p, ack)...)
}

// releaseRetained sends a retained message that is stored. One at QoS 0 that was
// replaced meanwhile is left out, as its successor did not wait. [MQTT-4.6.0-6]
func (b *hub) releaseRetained(one []delivery, now time.Time) {
	m := one[0].message
	if topic := m.publish.Topic; one[0].entry == nil && !isStatus(topic) {
		b.mu.RLock() // so that none comes in between
		defer b.mu.RUnlock()
		if b.retained.topics.get(topic) != m {
			return
		}
	}
	b.release(one, now)
}

// commitUnsubscribe lets UNSUBACK wait for the store; Broker.mu is held.
func (c *conn) commitUnsubscribe(t *journal.Task, p *wire.Unsubscribe, ack *wire.Unsuback) {
	p = &wire.Unsubscribe{PacketID: p.PacketID, Filters: append([]string(nil), p.Filters...)}
	for i := range p.Filters {
		t.Cost += deliveryCost + len(p.Filters[i])
	}
	t.Done = func(err error) { c.unsubscribeCommitted(t, p, ack, err) }
	c.b.persistence.Add(t)
}

// unsubscribeCommitted answers. Before 5.0 there is no word for a failure.
func (c *conn) unsubscribeCommitted(t *journal.Task, p *wire.Unsubscribe, ack *wire.Unsuback, err error) {
	if err != nil && c.version < wire.V5 {
		c.fail(&refusal{code: wire.ImplementationSpecificError, text: storeFailed})
		return
	}
	if err != nil {
		for i, code := range ack.ReasonCodes {
			if code == wire.Success {
				ack.ReasonCodes[i] = wire.ImplementationSpecificError
			}
		}
	}
	if failed := c.answer(ack); failed != nil && !errors.Is(failed, errGone) {
		c.fail(&refusal{code: wire.PacketTooLarge, text: "UNSUBACK"})
	}
	c.b.rouse(c)
	if err == nil {
		c.b.persistence.tell(t, c.unsubscribed(p, ack)...)
	}
}
