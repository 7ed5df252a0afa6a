package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// What a member of a shared subscription has not acknowledged when it leaves for good
// goes to the other members. (4.8.2 of 5.0: the server SHOULD send it to another one
// when the session ends.) A member that is only away keeps what it has: the server MAY
// wait for it, and a client that keeps its session wants that.
//
// A place in a stored queue names the shared subscription that the message came through,
// and outlives its session until the place of the next member is stored. So a crash in
// between loses nothing: what is left of a session is passed on at the next start.

// orphan is a message of a shared subscription whose member does not get it.
type orphan struct {
	message *message
	group   string
	slot    *slot   // its place in the store; nil: none
	not     *client // has no space for it; nil: nobody in particular
}

// orphaned returns what o is for the other members of group, or of any shared
// subscription if group is empty.
func orphaned(o *session.Outgoing, group string) (x orphan, ok bool) {
	e := o.Owner.(*queueEntry)
	x = orphan{message: e.message, group: e.group.name(), slot: e.slot}
	return x, x.group != "" && (group == "" || group == x.group)
}

// undeliveredSharedLocked returns what of a session that is over goes to others. Called
// with client.mu held.
func (cl *client) undeliveredSharedLocked(counts *statsCounters) (left []orphan) {
	for _, o := range cl.sender.Incomplete(nil) {
		x, ok := orphaned(o, "")
		switch {
		case !ok || o.Released():
			// After PUBREC the message is the client's.
		case o.Publish.QoS == wire.ExactlyOnce && o.Sent():
			// [MQTT-4.8.2-5] the client may have it, so nobody else gets it.
			counts.dropped.Add(1)
		default:
			left = append(left, x)
			if x.slot != nil {
				x.slot.moved = true
			}
		}
	}
	return left
}

// withdrawSharedLocked takes what has come through a shared subscription out of the
// queue of a client that has left it and stays otherwise. [MQTT-3.10.4-3] What was sent
// is completed. Called with client.mu held.
func (cl *client) withdrawSharedLocked(group string) (left []orphan) {
	for _, o := range cl.sender.Incomplete(nil) {
		x, ok := orphaned(o, group)
		if !ok || !cl.sender.Withdraw(o) {
			continue
		}
		cl.held.drop(o.Owner.(*queueEntry))
		left = append(left, x)
	}
	return left
}

// passOn is passOnLocked for callers that do not hold hub.mu.
func (h *hub) passOn(lost []orphan, r *router, now time.Time, p *publication) (waits bool) {
	if len(lost) == 0 {
		return false
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.passOnLocked(lost, r, now, p)
}

// passOnNowLocked is passOnLocked for a session that has left. Called with hub.mu held for
// writing, so that what is published from now on comes behind, and client.mu of that
// session: nobody else holds two of these, so they need no order.
func (h *hub) passOnNowLocked(left []orphan) {
	if len(left) > 0 {
		var r router
		h.passOnLocked(left, &r, time.Now(), nil)
		r.flush()
	}
}

// passOnLocked gives messages to other members of their shared subscriptions, in order.
// What nobody can take is dropped and counted. Places in the store change from one
// member to others in one Commit, for which p waits then, unless it is nil. Copies that
// need no store go at once. Called with hub.mu held.
func (h *hub) passOnLocked(lost []orphan, r *router, now time.Time, p *publication) (waits bool) {
	ending := h.drains()
	t := &journal.Task{Keep: true, Whole: true}
	var copies []delivery
	for i := range lost {
		x := &lost[i]
		c, ok := h.assignLocked(x, r, now, ending)
		if ok && c.entry != nil {
			if ok = h.packAgain(t, x, c) == nil; ok {
				copies = append(copies, c)
			}
		}
		if !ok && (!ending || x.slot != nil) { // the rest goes with the broker
			h.counts.dropped.Add(1)
		}
		if x.slot != nil {
			t.Ops = append(t.Ops, records.Deletion(x.slot.key()))
		}
		r.frames.end()
	}
	if len(t.Ops) == 0 {
		return false
	}
	t.Cost += len(copies) * deliveryCost
	t.Done = func(error) { h.passedOn(t, lost, copies, p) }
	h.persistence.Add(t)
	return true
}

// passedOn sends what has its place in the store.
func (h *hub) passedOn(t *journal.Task, lost []orphan, copies []delivery, p *publication) {
	now := time.Now()
	for i := range lost {
		if s := lost[i].slot; s != nil {
			h.persistence.removed(s)
		}
	}
	var again []orphan
	for i := range copies {
		again = append(again, h.release(copies[i:i+1], now)...)
	}
	if !h.passOn(again, &h.committed, now, p) && p != nil {
		p.finish(h, t, p.code)
	}
}

// assignLocked finds a member that takes the message of x. One whose session is stored
// gets it when the store has it; c is empty for the others, who have it. If the broker
// is ending, nobody else gets it: their sessions go, too. Called with hub.mu held.
func (h *hub) assignLocked(x *orphan, r *router, now time.Time, ending bool) (c delivery, ok bool) {
	s := h.nextMemberLocked(x, func(s *subscription) bool {
		t := s.target(x.message)
		if s.id != 0 {
			t.ids = []uint32{s.id}
		}
		if !t.atMostOnce(x.message) && t.local == nil && t.client.durable.Load() {
			c, _, ok = reserve(x.message, &t, now) // a shared subscription has no walk
			return ok
		}
		return !ending && t.deliver(x.message, r, now)
	})
	return c, s != nil
}

// reserveElsewhere adds to copies what the members whose turn it was do not take.
func (h *hub) reserveElsewhere(copies []delivery, lost []orphan, r *router, now time.Time) []delivery {
	h.mu.RLock()
	defer h.mu.RUnlock()
	ending := h.drains()
	for i := range lost {
		c, ok := h.assignLocked(&lost[i], r, now, ending)
		switch {
		case !ok:
			h.counts.dropped.Add(1)
		case c.entry != nil:
			copies = append(copies, c)
		}
	}
	return copies
}

// packAgain adds to t what has to be stored of a message that another session had.
func (h *hub) packAgain(t *journal.Task, x *orphan, c delivery) error {
	if x.slot == nil {
		copies := []delivery{c}
		err := h.pack(t, c.message, copies)
		if err != nil {
			giveUp(copies) // has no encoding: as if too large for the client
		}
		return err
	}
	c.entry.slot.stored = x.slot.stored
	x.slot.stored.copies.Add(1)
	t.Ops = append(t.Ops, c.entry.record())
	return nil
}

// nextMemberLocked returns the first member that takes the message, beginning with the
// one whose turn it is, or nil if none does.
func (h *hub) nextMemberLocked(x *orphan, takes func(*subscription) bool) *subscription {
	if g := h.groups[x.group]; g != nil {
		for s := range g.candidatesLocked {
			if s.client != x.not && takes(s) {
				return s
			}
		}
	}
	return nil
}

// reassignSharedLocked passes on what waits for the client of s, which has unsubscribed, if
// there is somebody else. Called with hub.mu held.
func (h *hub) reassignSharedLocked(s *subscription) {
	if s.group == nil || h.groups[s.whole] == nil {
		return // a client may get what was queued before it unsubscribed
	}
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	h.passOnNowLocked(s.client.withdrawSharedLocked(s.whole))
}
