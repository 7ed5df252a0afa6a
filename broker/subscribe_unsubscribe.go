package broker

import (
	"errors"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/wire"
)

// unsubscribed returns the events for the observers.
func (c *conn) unsubscribed(p *wire.Unsubscribe, ack *wire.Unsuback) (events []Event) {
	peer := c.client.lastPeer()
	for i, code := range ack.ReasonCodes {
		if code == wire.Success {
			events = append(events, Unsubscribed{peer, p.Filters[i]})
		}
	}
	return events
}

// handleUnsubscribe handles an UNSUBSCRIBE and answers it. [MQTT-3.10.4-1] filters
// are compared byte for byte.
func (c *conn) handleUnsubscribe(p *wire.Unsubscribe) error {
	if !c.awaitStore() {
		return errGone
	}
	ack := &wire.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))}
	waits, err := c.unsubscribe(p, ack)
	if err != nil || waits {
		return err
	}
	if c.hub.hooks.observed() {
		c.wakeBeforeHook()
		for _, e := range c.unsubscribed(p, ack) {
			c.hub.hooks.observe(e)
		}
	}
	return nil
}

// unsubscribe removes the subscriptions that exist, and answers. If waits is true,
// UNSUBACK follows when the store has forgotten them.
func (c *conn) unsubscribe(p *wire.Unsubscribe, ack *wire.Unsuback) (waits bool, err error) {
	h, cl := c.hub, c.client
	h.mu.Lock()
	defer h.mu.Unlock()
	if !c.isAttachedLocked() {
		return false, errGone
	}
	work := 0
	t := c.subscriptionTask()
	for i, filter := range p.Filters {
		if work++; !c.yieldLocked(&work) {
			return false, errGone
		}
		s := cl.subscriptions[filter]
		if s == nil {
			ack.ReasonCodes[i] = wire.NoSubscriptionExisted
			continue
		}
		h.removeRouteLocked(s)
		h.changes.filterChangesLocked(cl, filter)
		cl.remove(filter)
		h.reassignSharedLocked(s)
	}
	if t != nil {
		c.commitUnsubscribeLocked(t, p, ack)
		return true, nil
	}
	return false, c.answer(ack)
}

// commitUnsubscribeLocked makes UNSUBACK wait for the store. Called with hub.mu held.
func (c *conn) commitUnsubscribeLocked(t *journal.Task, p *wire.Unsubscribe, ack *wire.Unsuback) {
	p = &wire.Unsubscribe{PacketID: p.PacketID, Filters: append([]string(nil), p.Filters...)}
	for i := range p.Filters {
		t.Cost += deliveryCost + len(p.Filters[i])
	}
	t.Done = func(err error) { c.unsubscribeCommitted(t, p, ack, err) }
	c.hub.persistence.Add(t)
}

// unsubscribeCommitted sends UNSUBACK. Before 5.0 it cannot report a failure.
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
	c.hub.wakeAfterCommit(c)
	if err == nil {
		c.hub.persistence.tell(t, c.unsubscribed(p, ack)...)
	}
}
