package mqtt

import (
	"context"

	"github.com/seed65a45251/mqtt/session"
)

// Subscriptions that share a filter share the server's subscription, with the options
// that serve all of them. What one gets beyond its own options is taken off here.

// narrower takes a message down to what one Subscription asked for.
type narrower struct {
	qos        QoS  // at most
	keepRetain bool // the Subscription wants the flag of new messages
}

// narrowLocked notes which of those that get in, from begin in d.subs, asked for less
// than the server sends. Called with router.mu held.
func (d *receiver) narrowLocked(begin int, in *session.Received) {
	for i := begin; i < len(d.subs); i++ {
		s := d.subs[i]
		n, mixed := narrower{}, false
		for _, t := range s.routes {
			if len(s.routes) > 1 && !t.matches(in.Publish.Topic) {
				continue
			}
			o := s.optionsOf(t.filter)
			n.qos = max(n.qos, o.QoS)
			n.keepRetain = n.keepRetain || o.RetainAsPublished || !t.keepsRetain()
			mixed = mixed || t.mixed
		}
		if !mixed || s.kind == kindLocal {
			continue
		}
		if d.narrowed == nil {
			d.narrowed = make(map[int]narrower)
		}
		d.narrowed[i] = n
	}
}

// takeDown takes message i of d.subs down to what its Subscription asked for.
func (d *receiver) takeDown(i int, m *Message) {
	n, narrowed := d.narrowed[i]
	if !narrowed {
		return
	}
	m.QoS = min(m.QoS, n.qos)
	if !n.keepRetain {
		m.Retain = false
	}
}

// disclaimHolds ends the holds of those, from begin to end in d.subs, that get the
// message at QoS 0: it is not theirs to acknowledge.
func (d *receiver) disclaimHolds(begin, end int) {
	for i := begin; i < end; i++ {
		if n, narrowed := d.narrowed[i]; narrowed && n.qos == AtMostOnce {
			d.inbox.holds.acknowledger(d.holds[i]).acknowledge(Success)
			d.holds[i] = holdID{}
		}
	}
}

// awaitSpaceForHolders is awaitSpaceForAll for those, from begin to end in d.subs, that
// hold the message.
func (d *receiver) awaitSpaceForHolders(ctx context.Context, begin, end int, in *session.Received) bool {
	if len(d.narrowed) == 0 {
		return d.awaitSpaceForAll(ctx, d.subs[begin:end], d.holds[begin:end], in)
	}
	var subs []*Subscription
	var holds []holdID
	for i := begin; i < end; i++ {
		if d.holds[i] != (holdID{}) {
			subs, holds = append(subs, d.subs[i]), append(holds, d.holds[i])
		}
	}
	return d.awaitSpaceForAll(ctx, subs, holds, in)
}
