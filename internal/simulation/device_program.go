package simulation

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

func (d *device) publish(qos wire.QoS, topic string) {
	d.n++
	m := &message{payload: fmt.Sprintf("%s-q%d-%d", d.name, qos, d.n), topic: topic, qos: qos, by: d, notStored: d.n%7 == 0}
	m.outgoing = &session.Outgoing{Publish: wire.Publish{Topic: topic, Payload: []byte(m.payload), QoS: qos}, Owner: m}
	d.published = append(d.published, m)
	d.w.tally.Messages++
	d.w.publish(m)
	if d.disk != nil {
		d.accept(m)
	} else {
		m.accepted = true
		d.engine.Sender.Submit(m.outgoing, d.w.now)
	}
	d.harvest()
	d.collect()
}

func (d *device) withdraw(back int) {
	if len(d.published) == 0 {
		return
	}
	m := d.published[max(0, len(d.published)-1-back)]
	if m.outgoing == nil || m.ended > 0 {
		return // it is in the line of the Store
	}
	if m.entry != nil && d.journal.Withdraw(m.entry) || d.engine.Sender.Withdraw(m.outgoing) {
		d.w.note("%s takes back %s", d.name, m.payload)
		m.withdrawn = true
		if m.written && !m.recovered || m.ended > 0 {
			d.w.fail("%s was taken back although it was sent or had ended", m.payload)
		}
	}
}

func (d *device) subscribe(filter string, qos wire.QoS) {
	if slices.ContainsFunc(d.interests, func(in *session.Interest) bool { return in.Filters[0].Filter == filter }) {
		return
	}
	in := &session.Interest{
		Filters:         []wire.SubscribeFilter{{Filter: filter, QoS: qos}},
		SubscriptionIDs: []uint32{uint32(slices.Index(topics, filter) + 1)},
	}
	d.interests = append(d.interests, in)
	d.engine.Subscriptions.Add(in)
	d.harvest()
	d.collect()
}

func (d *device) unsubscribe(i int) {
	if len(d.interests) == 0 {
		return
	}
	i %= len(d.interests)
	in := d.interests[i]
	d.interests = slices.Delete(d.interests, i, i+1)
	d.engine.Subscriptions.Remove(in, false)
	d.harvest()
	d.collect()
}

func (d *device) acknowledge(i int) {
	if len(d.held) == 0 {
		return
	}
	i %= len(d.held)
	h := d.held[i]
	d.held = slices.Delete(d.held, i, i+1)
	d.w.note("%s acknowledges %s", d.name, h.text)
	h.acked, h.ever = true, true
	code := wire.Success
	if d.mon.version == wire.V5 && h.topic == "refused" {
		code, h.exposed = wire.NotAuthorized, true // if the answer gets lost, the message comes again
	}
	err := d.engine.Receiver.Ack(h.token, code)
	h.ackedAt = d.position()
	switch {
	case errors.Is(err, session.ErrStale) && (h.stale || h.exempt || h.qos == wire.AtLeastOnce && h.from.server.NoDup):
	case err != nil:
		d.w.fail("%s cannot acknowledge %s: %w", d.name, h.text, err)
	}
	d.collect()
}

// cut ends the connection: so many bytes still arrive, and how says what the server notices.
func (d *device) cut(bytes, how int) {
	p := d.pipe
	if p == nil {
		return
	}
	if how%4 == 0 {
		p.upDead = true // the server learns nothing
	}
	d.drop(nil, bytes)
	if how%4 == 1 && !p.serverGone {
		p.up = nil
		p.link.end("the network broke")
		d.w.buryOrphans()
	}
}

func (d *device) halfOpen(direction int) {
	if p := d.pipe; p != nil && !d.w.healed {
		p.upDead, p.downDead = p.upDead || direction%3 != 0, p.downDead || direction%3 != 1
	}
}

// harvest takes what the engine has for the program.
func (d *device) harvest() {
	for _, r := range d.engine.Received() {
		d.hand(&r)
	}
	d.engine.Recycle()
	for _, o := range d.engine.Sender.Completed(nil) {
		m, ok := o.Owner.(*message)
		if !ok { // of an earlier process
			m = d.w.byPayload[string(o.Publish.Payload)]
		}
		d.w.note("%s: %s ends: %v", d.name, m.payload, o.Result().Err)
		d.w.ended(m, o.Result().Err)
		d.mon.over(m)
		m.endedIn = d.begun + 1
	}
	d.engine.Answered(nil)
	for _, a := range d.engine.Subscriptions.Answers(nil) {
		d.subscribed(&a)
	}
	d.engine.Subscriptions.Left(nil)
}

// subscribed takes the answer for a filter. The engine gives up a filter because of which
// the server seems to hang up.
func (d *device) subscribed(a *session.InterestAnswer) {
	err := a.Err
	if err == nil {
		err = a.Answers[0].Err
	}
	if err == nil {
		return
	}
	if !errors.Is(err, session.ErrUndeliverable) || d.w.hangups < 10 {
		d.w.fail("%s cannot subscribe to %s: %w", d.name, a.Interest.Filters[0].Filter, err)
	}
	d.interests = slices.DeleteFunc(d.interests, func(in *session.Interest) bool { return in == a.Interest })
}

// hand gives a message to the program.
func (d *device) hand(r *session.Received) {
	p := &r.Publish
	payload := string(p.Payload)
	d.w.note("%s gets %s", d.name, payload)
	d.w.tally.Handed++
	x := d.mon.delivery(payload)
	if x == nil {
		d.w.fail("%s got %s, which was not sent to it", d.name, payload)
		return
	}
	switch {
	case p.Topic != x.topic:
		d.w.fail("%s got %s on topic %q, which was published on %q", d.name, payload, p.Topic, x.topic)
	case p.QoS != x.qos || r.Token.IsZero() != (x.qos == wire.AtMostOnce):
		d.w.fail("%s got %s at QoS %d, which was sent at %d", d.name, payload, p.QoS, x.qos)
	}
	ids := []uint32(nil)
	if p.Properties != nil {
		ids = p.Properties.SubscriptionIDs
	}
	if got := append(ids[:len(ids):len(ids)], 0)[0]; len(ids) > 1 || got != x.id {
		d.w.fail("%s got %s for subscriptions %v, which was sent for %d", d.name, payload, ids, x.id)
	}
	if x.qos == wire.ExactlyOnce && x.got > 0 && x.turn != r.Token.Number() && !x.exempt && !d.blurred {
		d.w.fail("%s comes again with number %d, and had %d", x.text, r.Token.Number(), x.turn)
	}
	x.turn = r.Token.Number()
	d.w.hand(x)
	if !r.Token.IsZero() {
		d.held = append(d.held, held{delivery: x, token: r.Token})
	}
}
