package mqtt

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// ownedMessage makes a message that shares nothing with what the engine lends.
// With several others get the same message, too.
func ownedMessage(in *session.Received, a acknowledger, several bool) *Message {
	m, payload := allocate(in.Publish.Payload)
	m.fill(in, payload, a)
	m.own(several)
	return m
}

// own copies what m has from the engine, apart from the payload. User properties were
// made for this message; only several that have it need a copy each.
func (m *Message) own(several bool) {
	if m.CorrelationData != nil {
		m.CorrelationData = bytes.Clone(m.CorrelationData)
	}
	if m.UserProperties != nil && several {
		m.UserProperties = slices.Clone(m.UserProperties)
	}
}

// fill fills in m, which is zero: what stays zero is not written, because a
// write of a pointer is dear while the garbage collector is at work.
func (m *Message) fill(in *session.Received, payload []byte, a acknowledger) {
	p := &in.Publish
	m.Topic, m.Payload = p.Topic, payload
	m.QoS, m.Retain, m.Duplicate = p.QoS, p.Retain, p.Duplicate
	if a.origin != nil {
		m.acknowledger = a.keyed(in)
	}
	q := p.Properties
	if q == nil {
		return
	}
	if len(q.SubscriptionIDs) > 0 {
		m.SubscriptionIDs = append(m.firstID[:0], q.SubscriptionIDs...)
	}
	m.PayloadFormatUTF8 = q.PayloadFormatUTF8
	if q.MessageExpiryInterval != nil {
		m.MessageExpiryInterval = new(time.Duration(*q.MessageExpiryInterval) * time.Second)
		m.arrived = arrivedNow()
	}
	if q.ContentType != "" {
		m.ContentType = q.ContentType
	}
	if q.ResponseTopic != "" {
		m.ResponseTopic = q.ResponseTopic
	}
	if q.CorrelationData != nil {
		m.CorrelationData = q.CorrelationData
	}
	if q.UserProperties != nil {
		m.UserProperties = q.UserProperties
	}
}

// arrival is the time at which a message came, in milliseconds, of which only the last
// 32 bits are kept: a Message has no space for more. So it is right for 49 days.
type arrival uint32

var arrivalsBegin = time.Now()

func arrivedNow() arrival { return arrival(time.Since(arrivalsBegin).Milliseconds()) }

// timeLeft returns how long a received message is still worth something. bounded is false
// if it never expires.
func (m *Message) timeLeft() (left time.Duration, bounded bool) {
	if m.MessageExpiryInterval == nil {
		return 0, false
	}
	return *m.MessageExpiryInterval - time.Duration(arrivedNow()-m.arrived)*time.Millisecond, true
}

// messageOf returns the message in p, which it shares with p. What hooks have added to it
// they add again if it is published again.
func messageOf(p *wire.Publish) *Message {
	m := new(Message)
	m.fill(&session.Received{Publish: *p}, p.Payload, acknowledger{})
	m.Duplicate = false
	if p.Properties != nil {
		m.UserProperties = p.Properties.RequiredUserProperties()
	}
	return m
}

// allocate returns a message and a copy of payload, which is never nil. A small
// one lies behind its message in the same piece of memory: one allocation, whose
// sizes are those that the runtime hands out anyway.
func allocate(payload []byte) (*Message, []byte) {
	n := len(payload)
	switch {
	case n == 0:
		return new(Message), []byte{}
	case n <= 40:
		r := new(padded[[40]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 72:
		r := new(padded[[72]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 136:
		r := new(padded[[136]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 200:
		r := new(padded[[200]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 264:
		r := new(padded[[264]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 328:
		r := new(padded[[328]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 520:
		r := new(padded[[520]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	case n <= 840:
		r := new(padded[[840]byte])
		copy(r.space[:], payload)
		return &r.Message, r.space[:n:n]
	}
	return new(Message), bytes.Clone(payload)
}

// padded is a message with space for its payload.
type padded[Space any] struct {
	Message
	space Space
}

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
		for _, t := range d.inbox.router.routesOfLocked(s, in.Publish.Topic) {
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
