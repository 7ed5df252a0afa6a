package mqtt

import "github.com/seed65a45251/mqtt/session"

// The end of an inbox has two steps. finish lets consumers take what is there, for
// Disconnect. cut is the end for them. close follows when the connection is over.

// finish makes every Subscription end because of err as soon as its consumers have taken
// what it has. What comes from now on stays with the server, and does not count as
// unfinished. Subscriptions of Requests live on: responses are still wanted.
func (b *inbox) finish(err error) {
	b.router.mu.Lock()
	if b.router.closed == nil {
		b.router.closed = err
	}
	subs := b.router.allLocked()
	b.unclaimed.stop()
	b.router.mu.Unlock()
	b.holds.tellProgress(&b.progress)
	for _, s := range subs {
		if s.kind != kindResponses {
			s.queue.tellProgress(&b.progress)
			s.queue.finishWhenEmpty(err)
		}
	}
	// After that, so that no Subscription gets what does not count.
	b.engine.do(func(engine *session.Client) { engine.Receiver.EndHere() })
}

// attended says, after finish, whether consumers are at work on messages, or will take
// those that are there.
func (b *inbox) attended() bool {
	if b.handlers.n.Load() > 0 {
		return true
	}
	b.router.mu.Lock()
	subs := b.router.allLocked()
	b.router.mu.Unlock()
	for _, owner := range b.holds.owners() { // also of a Subscription that has ended
		if s, ok := owner.(*Subscription); ok {
			subs = append(subs, s)
		}
	}
	for _, s := range subs {
		if s.kind == kindResponses {
			continue
		}
		if busy, untaken := s.queue.attended(); busy || b.holds.busy(&s.holds, untaken) {
			return true
		}
	}
	return false
}

// cut closes the queues of all Subscriptions because of err and waits for the
// goroutines behind their channels. It comes before the end of the client. Messages
// that no consumer has taken are not acknowledged and stay with the server, as do those
// that still come.
func (b *inbox) cut(err error) {
	b.router.mu.Lock()
	b.router.over = true
	if b.router.closed == nil {
		b.router.closed = err
	}
	subs := b.router.allLocked()
	b.unclaimed.stop()
	b.router.mu.Unlock()
	for _, s := range subs {
		b.abandon(s.queue.cutOff(err))
	}
	b.workers.stop()
}

// abandon leaves messages that no consumer takes unacknowledged, at the end of the
// client. Those at QoS 0 are lost and counted.
func (b *inbox) abandon(items []item) {
	for _, m := range items {
		if m.QoS == AtMostOnce {
			b.lost.Add(1)
			b.counters.dropped.ended.Add(1)
		}
	}
	releaseAll(items)
}

// close ends all Subscriptions because of err. It is the last call, after the
// connection has ended, and waits for the goroutines behind channels.
func (b *inbox) close(err error) {
	r := b.router
	r.mu.Lock()
	r.closed, r.over = err, true
	subs := r.allLocked()
	r.subs, r.emptying = nil, nil
	b.unclaimed.stop()
	b.unclaimed.forget()
	r.mu.Unlock()
	for _, s := range subs {
		b.abandon(s.queue.cutOff(err))
		s.first.conclude(err, false)
	}
	b.workers.stop()
	b.holds.stop()
}

// afterEnd disposes of messages that were read for a Subscription that has ended
// meanwhile: they stay with the server, wait for the next Subscription, or are
// acknowledged. The reader calls it.
func (b *inbox) afterEnd(s *Subscription, run []item) {
	switch {
	case b.router.isClosed():
		b.refuseLate(s, run)
	case b.outlived(s):
		b.giveBackLate(s, run)
	default:
		dismiss(run)
	}
}

// refuseLate leaves messages of s with the server that came after the end had begun. Those
// at QoS 0 are dropped.
func (b *inbox) refuseLate(s *Subscription, run []item) {
	for _, m := range run {
		if m.QoS == AtMostOnce {
			s.queue.giveUp(m)
			continue
		}
		m.lease.release(1)
		if t := m.acknowledger.leaveOnServer(); !t.IsZero() {
			b.leaveOnServer([]session.Token{t})
		}
	}
}
