package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// What a member of a shared subscription has not acknowledged when it leaves for good
// goes to the other members. (4.8.2 of 5.0: the server SHOULD send it to another one
// when the session ends.) A member that is only away keeps what it has: the server MAY
// wait for it, and a client that keeps its session wants that.

// shared is a message in the queue of a client that came through a shared subscription.
type shared struct {
	*message
	group string
}

// orphan is a message of a shared subscription whose member does not get it.
type orphan struct {
	message *message
	group   string
	parcel  *parcel // its place on the disk; nil: none
	not     *client // has no room for it; nil: nobody in particular
}

// orphaned returns what o is for the other members of group, or of any shared
// subscription if group is empty.
func orphaned(o *session.Outgoing, group string) (x orphan, ok bool) {
	switch owner := o.Owner.(type) {
	case *parcel:
		x = orphan{message: owner.message, group: owner.group, parcel: owner}
	case *shared:
		x = orphan{message: owner.message, group: owner.group}
	}
	return x, x.group != "" && (group == "" || group == x.group)
}

// bequeath returns what of a session that is over goes to others. cl.mu is held.
func (cl *client) bequeath(counts *counters) (left []orphan) {
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
			if x.parcel != nil {
				x.parcel.passed = true
			}
		}
	}
	return left
}

// yield takes what has come through a shared subscription out of the queue of a client
// that has left it and stays otherwise. [MQTT-3.10.4-3] What was sent is completed.
// cl.mu is held.
func (cl *client) yield(group string) (left []orphan) {
	for _, o := range cl.sender.Incomplete(nil) {
		x, ok := orphaned(o, group)
		if !ok || !cl.sender.Withdraw(o) {
			continue
		}
		cl.held.add(x.message, -1)
		left = append(left, x)
	}
	return left
}

// passOnLost is passOn for who does not hold Broker.mu.
func (b *Broker) passOnLost(lost []orphan, r *router, now time.Time, done func(*task)) (waits bool) {
	if len(lost) == 0 {
		return false
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.passOn(lost, r, now, done)
}

// passOnNow is passOn for somebody who has left. Broker.mu is held for writing, so that
// what is published from now on comes behind, and client.mu of who has left: nobody
// else holds two of these, so they need no order.
func (b *Broker) passOnNow(left []orphan) {
	if len(left) > 0 {
		var r router
		b.passOn(left, &r, time.Now(), nil)
		r.flush()
	}
}

// passOn gives messages to other members of their shared subscriptions, in order. What
// nobody can take is dropped and counted. If that has to be durable, waits is true and
// done, which may be nil, is called when it is. Broker.mu is held.
func (b *Broker) passOn(lost []orphan, r *router, now time.Time, done func(*task)) (waits bool) {
	if b.disk != nil {
		return b.disk.passOn(lost, r, now, done)
	}
	if b.drains() {
		return false // what waits goes with the broker
	}
	for i := range lost {
		x := &lost[i]
		s := b.heir(x, func(s *subscription) bool {
			t := s.target(x.message)
			if s.id != 0 {
				t.ids = []uint32{s.id}
			}
			return s.client.deliver(x.message, &t, r, now)
		})
		if s == nil {
			b.counts.dropped.Add(1)
		}
		r.endFrames()
	}
	return false
}

// heir returns the first member that takes the message, beginning with the one whose
// turn it is, or nil if none does.
func (b *Broker) heir(x *orphan, takes func(*subscription) bool) *subscription {
	if g := b.groups[x.group]; g != nil {
		for s := range g.inTurn {
			if s.client != x.not && takes(s) {
				return s
			}
		}
	}
	return nil
}

// yieldShared passes on what waits for the client of s, which has unsubscribed, if
// there is somebody else. Broker.mu is held.
func (b *Broker) yieldShared(s *subscription) {
	if s.group == nil || b.groups[s.whole] == nil {
		return // a client may get what was queued before it unsubscribed
	}
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	b.passOnNow(s.client.yield(s.whole))
}
