package mqtt

import (
	"slices"

	"github.com/seed65a45251/mqtt/session"
)

// newSubscription returns a Subscription that the router does not know yet.
func (b *inbox) newSubscription(k kind, o SubscribeOptions) *Subscription {
	s := &Subscription{inbox: b, kind: k, options: o}
	s.queue.init(&s.options, &b.counters.dropped)
	s.queue.remote.fetch, s.queue.remote.limit, s.queue.remote.usual = s.fetchLeft, &b.window.mayWait, b.receiveMaximum
	s.holds.owner = s
	s.first.done = make(chan struct{})
	return s
}

// add makes s known to the router, so that messages reach it from now on, and gives it
// what has waited for it.
func (b *inbox) add(s *Subscription) error {
	err := b.register(s)
	if err == nil && b.unclaimed.hasSpaceAgain() {
		b.refetch()
	}
	return err
}

func (b *inbox) register(s *Subscription) error {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	if err := b.router.addLocked(s); err != nil {
		return err
	}
	if s.kind != kindLocal {
		s.interest = newInterestLocked(s)
	}
	claimed := b.unclaimed.claim(s.topicsLocked())
	s.claimed = len(claimed)
	for _, m := range claimed {
		m.acknowledger.moveTo(&s.holds)
		s.queue.pushHeld(m)
	}
	return nil
}

// remove takes s out of the router. Removing it again does nothing.
func (b *inbox) remove(s *Subscription) {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	b.removeLocked(s, false)
}

// removeLocked is remove with router.mu held. With expected what still comes on the
// filters waits for the next that wants it.
func (b *inbox) removeLocked(s *Subscription, expected bool) {
	r := b.router
	if !r.hasLocked(s) {
		return
	}
	passOn := s.kind == kindHandled || s.state == draining
	for _, t := range r.removeLocked(s) {
		b.unclaimed.noteUnwanted(t.topics, expected || passOn && t.shared())
	}
	if s.state != emptying {
		return
	}
	if s.queue.err() != nil {
		s.state = s.state.after(moveEmptied)
		return
	}
	put(&r.emptying, s)
}

// startDrain notes that s is about to end; messages still reach it until it is removed.
// It returns false when s is ending already.
func (b *inbox) startDrain(s *Subscription) bool {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	if s.state == draining || !b.router.hasLocked(s) {
		return false
	}
	s.state = s.state.after(moveDrain)
	return true
}

// emptied notes that nobody waits for the messages of s any more.
func (b *inbox) emptied(s *Subscription) {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	s.state = s.state.after(moveEmptied)
	delete(b.router.emptying, s.number)
}

// granted notes what the server said of the filters of s.
func (b *inbox) granted(s *Subscription, acks []Ack) {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	s.state = s.state.after(moveGranted)
	if s.granted == nil {
		s.grantedAt = b.router.added
	}
	s.granted = acks
}

// handBack takes out the Subscription of a handler that has ended, and keeps what
// still waits, with unfinished before it. With resume the server keeps the
// subscriptions.
func (b *inbox) handBack(s *Subscription, unfinished []item, resume bool) {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	b.unclaimed.keep(ownedFirm(unfinished))
	b.unclaimed.keep(ownedFirm(s.queue.cutOff(ErrUnsubscribed)))
	if resume && b.router.hasLocked(s) {
		b.unclaimed.startHolding()
	}
	b.removeLocked(s, resume)
}

// ownedFirm returns the QoS 1 and 2 messages of items, and gives back what was lent.
func ownedFirm(items []item) (messages []*Message) {
	for _, it := range items {
		if it.QoS > AtMostOnce {
			messages = append(messages, it.owned())
		} else {
			it.lease.release(1)
		}
	}
	return messages
}

// giveBack keeps messages that a Subscription has given up. If the next that wants
// them, one with a higher number than last, is there already, they go to it: it will
// not ask again. (Others got the messages themselves.)
func (b *inbox) giveBack(last uint64, items []item) {
	r := b.router
	r.mu.Lock()
	defer r.mu.Unlock()
	messages := ownedFirm(items)
	for _, next := range r.successorsLocked(last, messages) {
		b.unclaimed.want(next.topicsLocked())
		messages = slices.DeleteFunc(messages, func(m *Message) bool {
			if !slices.ContainsFunc(next.routes, func(t *route) bool { return t.matches(m.Topic) }) || !next.queue.pushHeld(m) {
				return false
			}
			m.acknowledger.moveTo(&next.holds)
			return true
		})
	}
	b.unclaimed.keep(messages)
}

// giveBackLate is giveBack for what came for s when it had just ended.
func (b *inbox) giveBackLate(s *Subscription, items []item) {
	b.router.mu.Lock()
	left := s.left
	b.router.mu.Unlock()
	b.giveBack(left, items)
}

// renounce acknowledges messages that the server keeps and nobody wants, so that they
// hold nothing up.
func (b *inbox) renounce(onServer []session.Token) {
	if len(onServer) == 0 || b.router.isClosed() {
		return
	}
	b.engine.do(func(engine *session.Client) {
		for _, t := range onServer {
			engine.Receiver.Renounce(t)
		}
	})
}

// renounceLeft renounces what the server keeps for s alone. What it keeps for others, too,
// has to come again for them.
func (s *Subscription) renounceLeft() {
	tokens, shared := s.queue.takeOnServer()
	s.inbox.renounce(tokens)
	if shared && !s.inbox.router.isClosed() {
		s.inbox.refetch()
	}
}

// topicsLocked returns what the topics of messages for s are matched against. Called
// with router.mu held.
func (s *Subscription) topicsLocked() (topics []string) {
	for _, t := range s.routes {
		topics = append(topics, t.topics...)
	}
	return topics
}

// newInterestLocked says to the engine what s wants. Called with router.mu held.
func newInterestLocked(s *Subscription) *session.Interest {
	in := &session.Interest{Filters: s.options.Filters, UserProperties: s.options.UserProperties, Owner: s}
	for _, t := range s.routes {
		in.SubscriptionIDs = append(in.SubscriptionIDs, t.groups[0].id)
	}
	return in
}

// disclaim returns the messages that wait on filters: nobody will claim them.
func (b *inbox) disclaim(filters []string) (dropped []*Message) {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	for _, f := range filters {
		dropped = append(dropped, b.unclaimed.disclaim(b.router.prefixes.topics(f))...)
	}
	return dropped
}

// passLeft has the server send again what it keeps for a handler that has ended: the next
// that wants these messages gets them.
func (s *Subscription) passLeft() {
	if s.queue.leavesOnServer() {
		s.fetchLeft()
	}
}

// fetchLeft has the server send again what it keeps for s: the messages come with a
// new connection.
func (s *Subscription) fetchLeft() {
	b := s.inbox
	if b.outlivesConnection() {
		b.refetch()
		return
	}
	s.renounceLeft()
}
