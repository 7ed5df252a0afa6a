package broker

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/wire"
)

// subscriptionTask returns the task that waits until the subscriptions made from now
// on are stored. It returns nil if the session ends with its connection, so that
// nothing is stored.
func (c *conn) subscriptionTask() *journal.Task {
	if !c.client.durable.Load() {
		return nil
	}
	h, change := c.hub, c.hub.changes.next()
	return &journal.Task{Share: &c.client.waiting, Refused: func() error { return h.changes.refusedAt(change) }}
}

// commitSubscribeLocked makes SUBACK, and the retained messages that follow it, wait for
// the store. Called with hub.mu held.
func (c *conn) commitSubscribeLocked(t *journal.Task, p *wire.Subscribe, ack *wire.Suback, why string, copies []delivery) {
	for i := range p.Filters {
		t.Cost += deliveryCost + len(p.Filters[i].Filter)
	}
	// The decoder reuses its memory.
	p = &wire.Subscribe{PacketID: p.PacketID, Filters: append([]wire.SubscribeFilter(nil), p.Filters...)}
	t.Done = func(err error) { c.subscribeCommitted(t, p, ack, why, copies, err) }
	c.hub.persistence.Add(t)
}

// subscribeCommitted sends SUBACK and the retained messages. [MQTT-3.8.4-1] SUBACK
// goes first, so that the client knows what they belong to.
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
