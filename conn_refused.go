package mqtt

import (
	"errors"
	"fmt"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// overlook reads past a PUBLISH that the reader has refused with err because it is too
// large, and reports whether it could: see [session.Client.Tolerant].
func (k *conn) overlook(err error) (bool, error) {
	c := k.client
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || fault.Packet != wire.TypePublish || fault.Reason != PacketTooLarge {
		return false, nil
	}
	c.engine.mu.Lock()
	tolerant := c.engine.Tolerant()
	c.engine.mu.Unlock()
	if !tolerant {
		return false, nil
	}
	h, head, failed := k.reader.Skim()
	if failed != nil {
		return false, readError(failed)
	}
	var e notices
	c.engine.mu.Lock()
	failed = c.engine.Overlook(h, head, fault)
	refused := c.engine.Refused(nil)
	c.engine.unlock(&e)
	k.tellRefused(refused)
	return failed == nil, failed
}

// tellRefused counts messages that were dropped because they had to be refused, and
// tells those who watch and the Subscriptions they were for. It belongs to the reader.
func (k *conn) tellRefused(list []session.Refused) {
	c := k.client
	for _, r := range list {
		c.engine.counters.refused.Add(1)
		c.router.mu.Lock()
		subs := c.router.find(nil, &wire.Publish{Topic: r.Topic})
		c.router.mu.Unlock()
		for _, s := range subs {
			s.queue.refuse()
		}
		if k.delivery.refused++; k.delivery.refused > maxTold {
			continue
		}
		err := fmt.Errorf("dropped a message on topic %.80q: %w", r.Topic, r.Err)
		c.cfg.Logger.Warn("mqtt message refused", "client_id", c.cfg.ClientID, "topic", r.Topic, "cause", r.Err)
		if len(subs) == 0 {
			c.watchers.send(Event{State: c.State(), Err: err})
		}
		for _, s := range subs {
			c.watchers.send(Event{State: c.State(), Err: err, Subscription: s})
		}
	}
}

// maxTold is of how many such messages of one connection it is told: a server may send
// nothing else.
const maxTold = 64
