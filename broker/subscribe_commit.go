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
	h, change := c.hub, c.hub.changes.next()
	return &journal.Task{Share: &c.client.waiting, Refused: func() error { return h.changes.refusedAt(change) }}
}

// commitSubscribeLocked lets SUBACK wait for the store, together with the retained messages
// that follow it. Called with hub.mu held.
func (c *conn) commitSubscribeLocked(t *journal.Task, p *wire.Subscribe, ack *wire.Suback, why string, copies []delivery) {
	for i := range p.Filters {
		t.Cost += deliveryCost + len(p.Filters[i].Filter)
	}
	// The decoder's memory is used again.
	p = &wire.Subscribe{PacketID: p.PacketID, Filters: append([]wire.SubscribeFilter(nil), p.Filters...)}
	t.Done = func(err error) { c.subscribeCommitted(t, p, ack, why, copies, err) }
	c.hub.persistence.Add(t)
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
	c.hub.wakeAfterCommit(c)
	if err != nil {
		return
	}
	c.client.startWalks()
	now := time.Now()
	for i := range copies {
		c.hub.releaseRetained(copies[i:i+1], now)
	}
	c.hub.persistence.tell(t, c.subscribed(p, ack)...)
}
