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

// narrow notes who of those that get p, from begin in d.subs, asked for less than the
// server sends. Called with r.mu held.
func (r *router) narrow(d *delivery, begin int, in *session.Received) {
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
		if !mixed || s.local {
			continue
		}
		if d.narrowed == nil {
			d.narrowed = make(map[int]narrower)
		}
		d.narrowed[i] = n
	}
}

// takeDown takes message i of d.subs down to what its Subscription asked for.
func (d *delivery) takeDown(i int, m *Message) {
	n, narrowed := d.narrowed[i]
	if !narrowed {
		return
	}
	m.QoS = min(m.QoS, n.qos)
	if !n.keepRetain {
		m.Retain = false
	}
}

// disclaimTickets ends the holds of those, from begin to end in d.subs, who get the
// message at QoS 0: it is not theirs to acknowledge.
func (d *delivery) disclaimTickets(h *holds, begin, end int) {
	for i := begin; i < end; i++ {
		if n, narrowed := d.narrowed[i]; narrowed && n.qos == AtMostOnce {
			h.receipt(d.tickets[i]).settle(Success)
			d.tickets[i] = ticket{}
		}
	}
}

// roomForFirm is roomForAll for those, from begin to end in d.subs, who hold the message.
func (d *delivery) roomForFirm(ctx context.Context, begin, end int, in *session.Received) bool {
	if len(d.narrowed) == 0 {
		return d.roomForAll(ctx, d.subs[begin:end], d.tickets[begin:end], in)
	}
	var subs []*Subscription
	var tickets []ticket
	for i := begin; i < end; i++ {
		if d.tickets[i] != (ticket{}) {
			subs, tickets = append(subs, d.subs[i]), append(tickets, d.tickets[i])
		}
	}
	return d.roomForAll(ctx, subs, tickets, in)
}
