package mqtt

import (
	"fmt"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// tellRefused counts messages that were dropped because they had to be refused, and
// tells those who watch and the Subscriptions they were for. It belongs to the reader.
func (d *delivery) tellRefused(list []session.Refused) {
	c := d.client
	c.counters.refused.Add(uint64(len(list)))
	for _, r := range list {
		c.router.mu.Lock()
		subs := c.router.find(nil, &wire.Publish{Topic: r.Topic})
		c.router.mu.Unlock()
		for _, s := range subs {
			s.queue.refuse()
		}
		if d.refused++; d.refused > maxTold {
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
