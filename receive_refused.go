package mqtt

import (
	"fmt"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// tellRefused counts messages that were dropped because they had to be refused, and
// tells those who watch and the Subscriptions they were for.
func (d *receiver) tellRefused(list []session.Refused) {
	b := d.inbox
	b.counters.refused.Add(uint64(len(list)))
	for _, r := range list {
		b.router.mu.Lock()
		subs := b.router.findLocked(nil, &wire.Publish{Topic: r.Topic})
		b.router.mu.Unlock()
		for _, s := range subs {
			s.queue.countRefused()
		}
		if d.refused++; d.refused > maxTold {
			continue
		}
		err := fmt.Errorf("dropped a message on topic %.80q: %w", r.Topic, r.Err)
		b.logger.Warn("mqtt message refused", "topic", r.Topic, "cause", r.Err)
		if len(subs) == 0 {
			b.report(nil, err, 0)
		}
		for _, s := range subs {
			b.report(s, err, 0)
		}
	}
}

// maxTold is of how many such messages of one connection it is told: a server may send
// nothing else.
const maxTold = 64
