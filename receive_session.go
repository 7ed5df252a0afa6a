package mqtt

import (
	"fmt"
)

// reconnected forgets what was left with the server: a new connection brings it.
func (b *inbox) reconnected() {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	b.router.renewedLocked()
	for _, s := range b.router.everybodyLocked() {
		s.queue.reconnected()
	}
	b.unclaimed.reconnected()
}

// resumed notes that the session is not one of this client alone: it may have
// filters, identifiers and messages of an earlier process.
func (b *inbox) resumed() {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	b.router.inherited = true
	b.router.last = shortcut{}
	b.unclaimed.startWaiting(false, b.expireUnclaimed)
}

// catchAll lets everything wait that comes before somebody could ask for it.
func (b *inbox) catchAll() { b.unclaimed.startWaiting(true, b.expireUnclaimed) }

// expireUnclaimed drops what an earlier process has left and nobody has come for.
func (b *inbox) expireUnclaimed() {
	b.dropUnwanted(b.unclaimed.expired())
	if b.unclaimed.hasSpaceAgain() {
		b.refetch()
	}
}

// dropUnwanted acknowledges what nobody wants [MQTT-4.5.0-2].
func (b *inbox) dropUnwanted(unwanted []*Message) {
	if len(unwanted) == 0 {
		return
	}
	b.counters.unclaimed.Add(uint64(len(unwanted)))
	for _, m := range unwanted {
		m.acknowledger.acknowledge(Success)
	}
	b.tellUnclaimed(unwanted[0].Topic)
}

// tellUnclaimed tells of messages that an earlier process, or the server, wanted and
// this process does not.
func (b *inbox) tellUnclaimed(topic string) {
	n := b.unclaimed.takeUntold()
	if n == 0 {
		return
	}
	b.logger.Warn("mqtt messages dropped that nobody has claimed", "messages", n, "topic", topic)
	b.report(nil, fmt.Errorf("%w: %d messages, one of them on topic %.80q, were acknowledged and dropped", ErrUnclaimed, n, topic), 0)
}

// cut closes the queues of all Subscriptions because of err and waits for the
// goroutines behind their channels. It comes before the end of the client: what nobody
// has taken is not acknowledged and stays with the server, as does what still comes.
func (b *inbox) cut(err error) {
	b.router.mu.Lock()
	if b.router.closed == nil {
		b.router.closed = err
	}
	subs := b.router.everybodyLocked()
	b.unclaimed.stop()
	b.router.mu.Unlock()
	for _, s := range subs {
		releaseAll(s.queue.cutOff(err))
	}
	b.workers.stop()
}

// close ends all Subscriptions because of err, with the client.
func (b *inbox) close(err error) {
	r := b.router
	r.mu.Lock()
	r.closed = err
	subs := r.everybodyLocked()
	r.subs, r.emptying = nil, nil
	b.unclaimed.stop()
	b.unclaimed.forget()
	r.mu.Unlock()
	for _, s := range subs {
		releaseAll(s.queue.cutOff(err))
		s.first.conclude(err, false)
	}
	b.workers.stop()
	b.holds.stop()
}

// afterEnd looks after messages that were read for a Subscription that has ended.
func (b *inbox) afterEnd(s *Subscription, run []item) {
	switch {
	case b.router.isClosed():
		for _, m := range run {
			if m.QoS == AtMostOnce {
				s.queue.giveUp(m)
			} else {
				m.lease.release(1) // it stays with the server
			}
		}
	case b.outlived(s):
		b.giveBackLate(s, run)
	default:
		dismiss(run)
	}
}
