package broker

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// expect makes a copy of m for a session that is kept, or returns nil if there is no
// room for it. A client that can take it at once gives it its packet identifier, so
// that both are recorded together.
func (cl *client) expect(m *message, t *target, now time.Time) *parcel {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.gone {
		return nil
	}
	if !cl.room(m, now) {
		if t.group == "" {
			m.b.counts.dropped.Add(1)
		}
		return nil
	}
	cl.places++
	p := &parcel{message: m, client: cl, place: cl.places, group: t.group}
	p.out = session.Outgoing{Publish: m.publish, Expires: m.expires, Owner: p, Durable: true}
	// [MQTT-3.8.4-8] the lower of the published and the granted QoS.
	p.out.Publish.QoS = min(m.publish.QoS, t.qos)
	p.out.Publish.Retain = t.retain
	if p.ids = t.ids; len(t.ids) > 0 {
		// [MQTT-3.3.4-3] the message carries the identifiers of the subscriptions.
		p.out.Publish.Properties = new(withIDs(m.publish.Properties, t.ids))
	}
	cl.sender.Reserve(&p.out)
	cl.held.add(m, 1)
	return p
}

// submit sends or queues a copy that is durable. It returns false if the session is
// over and another member of the shared subscription has to take it.
func (cl *client) submit(p *parcel, r *router, now time.Time) (taken bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.gone {
		cl.sender.GiveUp(&p.out)
		if p.group != "" {
			return false
		}
		p.remove(cl.disk)
		return true
	}
	idle := cl.link.Pending() == 0
	if cl.conn != nil && cl.link.Version < wire.V5 {
		p.out.Publish.Properties = nil
	}
	p.b.counts.sent.Add(1)
	cl.sender.Submit(&p.out, now)
	cl.settle(&p.b.counts)
	cl.rouse(idle, r)
	return true
}

// rouse notes the connection in r if its writer has to be woken.
func (cl *client) rouse(wasIdle bool, r *router) {
	if wasIdle && cl.conn != nil && cl.link.Pending() > 0 {
		r.dirty = append(r.dirty, cl.conn)
	}
}

// giveUp takes back a copy that did not get durable.
func (cl *client) giveUp(p *parcel) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.sender.GiveUp(&p.out)
	cl.held.add(p.message, -1)
}

// record asks for the records that the next steps of the session wait for; cl.mu is
// held. It comes after everything that may have made such a step.
func (cl *client) record() {
	cl.held.done = cl.sender.Unrecorded(cl.held.done[:0])
	discards := cl.receiver.Discards(nil)
	if len(cl.held.done) == 0 && len(discards) == 0 {
		return
	}
	outs := slices.Clone(cl.held.done)
	clear(cl.held.done)
	if len(outs) > 0 {
		cl.disk.add(cl.recordSteps(outs))
	}
	if len(discards) > 0 {
		// Apart, as a full disk may still take it.
		t := &task{keep: true, done: func(error) { cl.recordDone(nil, discards) }}
		for _, id := range discards {
			t.ops = append(t.ops, deletion(identifierKey(cl.number, id)))
		}
		cl.disk.add(t)
	}
}

func (cl *client) recordSteps(outs []*session.Outgoing) *task {
	t := &task{keep: true, done: func(error) { cl.recordDone(outs, nil) }}
	for _, o := range outs {
		p := o.Owner.(*parcel)
		if o.Released() && p.released == 0 {
			// [MQTT-4.6.0-4] PUBRELs are repeated in the order of the PUBRECs.
			cl.places++
			p.released = cl.places
		}
		t.ops = append(t.ops, p.save())
	}
	return t
}

// recordDone makes the steps.
func (cl *client) recordDone(outs []*session.Outgoing, discards []uint16) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	idle := cl.link.Pending() == 0
	for _, o := range outs {
		cl.sender.Recorded(o)
	}
	for _, id := range discards {
		cl.receiver.Discarded(id)
	}
	if len(outs) > 0 {
		cl.sender.Pump(time.Now())
		cl.settle(&cl.disk.b.counts)
	}
	cl.rouse(idle, &cl.disk.router)
}

func (cl *client) lastPeer() *Peer {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.seen.peer
}

// save returns the record of the session, or its removal; cl.mu is held.
func (cl *client) save() store.Op {
	cl.saves++
	return cl.disk.sessionOp(cl.number, &sessionState{
		peer: *cl.seen.peer, expiry: cl.expiry, ended: cl.gone, connected: cl.conn != nil,
		since: cl.seen.since, will: cl.will, leaving: cl.leaving,
	})
}

// sessionOp returns the record of a session, or its removal if nothing is left of it.
func (d *disk) sessionOp(number uint64, s *sessionState) store.Op {
	op := store.Op{Key: recordKey(sessionRecord, number)}
	if s.ended && len(s.leaving) == 0 {
		op.Delete = true
		return op
	}
	value, err := s.value()
	if err != nil {
		// Nothing in it came without being checked.
		d.b.cfg.Logger.Error("session can not be stored", "client", s.peer.ClientID, "error", err)
		op.Delete = true
		return op
	}
	op.Value = value
	return op
}

// saveLater records the session if it is one that is kept; cl.mu is held.
func (cl *client) saveLater() {
	if cl.recorded {
		cl.disk.later(cl.save())
	}
}

// erase records that the session of cl is over. Who comes next under the client
// identifier is told that there is none, and waits for that. cl.mu is held.
func (d *disk) erase(cl *client) {
	id := cl.id
	d.mu.Lock()
	d.erasing[id]++
	d.mu.Unlock()
	d.add(&task{keep: true, ops: []store.Op{cl.save()}, done: func(error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.erasing[id]--; d.erasing[id] == 0 {
			delete(d.erasing, id)
		}
	}})
}

// erases reports whether the disk has yet to forget a session of this client.
func (d *disk) erases(clientID string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.erasing[clientID] > 0
}

// erase removes what the disk has of a session that is over; Broker.mu and cl.mu are
// held.
func (cl *client) erase() {
	d := cl.disk
	cl.lasting.Store(false)
	// Before the rest, so that a session on the disk is whole.
	d.erase(cl)
	for id := range cl.receiver.Remembered() {
		d.later(deletion(identifierKey(cl.number, id)))
	}
	cl.sender.Fail(session.ErrSessionEnded)
	for _, o := range cl.sender.Completed(nil) {
		if p, ok := o.Owner.(*parcel); ok && !p.passed {
			p.remove(d)
		}
	}
}
