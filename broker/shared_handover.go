package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// When a member of a shared subscription leaves for good, the messages that it has not
// acknowledged go to the other members. (4.8.2 of 5.0: the server SHOULD send them to
// another member when the session ends.) A member that is only disconnected keeps its
// messages: the server MAY wait for it, and a client that keeps its session wants
// that.
//
// A place in a stored queue names the shared subscription that the message came through.
// It outlives its session until the place of the next member is stored. A crash in
// between therefore loses nothing: the next start passes on what is left of a session.

// orphan is a message of a shared subscription that its member does not get.
type orphan struct {
	message *message
	group   string
	slot    *slot   // its place in the store; nil: none
	not     *client // the member that has no space for it; nil: any member may get it
}

// orphaned returns o as an orphan. ok says whether it came through group, or through
// any shared subscription if group is empty.
func orphaned(o *session.Outgoing, group string) (x orphan, ok bool) {
	e := o.Owner.(*queueEntry)
	x = orphan{message: e.message, group: e.group.name(), slot: e.slot}
	return x, x.group != "" && (group == "" || group == x.group)
}

// undeliveredSharedLocked returns the messages of an ended session that go to other
// members. Called with client.mu held.
func (cl *client) undeliveredSharedLocked(counts *statsCounters) (left []orphan) {
	for _, o := range cl.sender.Incomplete(nil) {
		x, ok := orphaned(o, "")
		switch {
		case !ok || o.Released():
			// After PUBREC the message belongs to the client.
		case o.Publish.QoS == wire.ExactlyOnce && o.Sent():
			// [MQTT-4.8.2-5] the client may have the message, so no other member gets
			// it.
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

// withdrawSharedLocked takes the unsent messages of a shared subscription out of the
// queue of a client that has unsubscribed. [MQTT-3.10.4-3] Messages that were sent are
// completed. Called with client.mu held.
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

// passOnNowLocked is passOnLocked for a session that has left. Called with hub.mu held
// for writing, so that later messages come behind, and with client.mu of that session. No
// other code holds client.mu of two clients, so no lock order is needed.
func (h *hub) passOnNowLocked(left []orphan) {
	if len(left) > 0 {
		var r router
		h.passOnLocked(left, &r, time.Now(), nil)
		r.flush()
	}
}

// passOnLocked gives messages to other members of their shared subscriptions, in order.
// A message that no member can take is dropped and counted. The places in the store
// change from one member to the others in one Commit; if p is not nil, it waits for
// that Commit. Copies that are not stored go at once. It reports whether there is such
// a Commit. Called with hub.mu held.
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
		if !ok && (!ending || x.slot != nil) { // otherwise it ends with the broker
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

// passedOn sends the messages whose places have been stored.
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

// assignLocked finds a member that takes the message of x. If the session of that
// member is stored, c is the copy, to be sent when the store has it. Otherwise the
// message was sent and c is empty. While the broker ends, only stored sessions get the
// message, because the others end with it. Called with hub.mu held.
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

// reserveElsewhere adds to copies the messages that the chosen members could not
// take.
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

// packAgain adds to t the operations for a message that another session had.
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

// reassignSharedLocked passes on the messages that wait for the client of s, which has
// unsubscribed, if the group has another member. Called with hub.mu held.
func (h *hub) reassignSharedLocked(s *subscription) {
	if s.group == nil || h.groups[s.whole] == nil {
		return // the client may get messages that were queued before it unsubscribed
	}
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	h.passOnNowLocked(s.client.withdrawSharedLocked(s.whole))
}
