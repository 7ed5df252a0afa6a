package broker

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// origin is where a message comes from, and what is to happen when it is durable.
type origin struct {
	client *client               // publisher, whose messages stay in order; nil: none
	conn   *conn                 // its connection
	id     uint16                // QoS 2 identifier to record for it; 0: none
	token  session.Token         // of the message that has it
	will   *will                 // nil: it is none
	done   func(wire.ReasonCode) // on the goroutine of the disk; nil: nobody waits
}

// delivery is one copy of a message that waits for the disk.
type delivery struct {
	target target
	parcel *parcel // nil: for a session that is not kept
}

// parcel is a message in the queue of a session that is kept.
type parcel struct {
	*message
	client   *client
	place    uint64 // in the queue
	released uint64 // orders the PUBRECs; 0: none has come
	group    string // the shared subscription that it came through; empty: none
	passed   bool   // goes to another session together with its place
	ids      []uint32
	out      session.Outgoing
}

// stored is a message on the disk, which all sessions share.
type stored struct {
	number uint64
	copies atomic.Int32
}

// publish is Broker.publish with a Store. Copies at QoS 0 go at once. If something
// has to be durable, or comes after something of the same publisher that has to, all
// others wait for it, the answer to the publisher included: waits is true then, and
// the code goes to o.done.
func (d *disk) publish(r *router, m *message, now time.Time, o *origin) (code wire.ReasonCode, waits bool) {
	m.b = d.b
	ledger := d.ledgers.next()
	if !d.b.route(r, m, now) {
		d.b.counts.denied.Add(1)
		return wire.QuotaExceeded, false
	}
	defer r.endMessage()
	code = wire.Success
	if len(r.targets) == 0 {
		code = wire.NoMatchingSubscribers
	}
	if !d.concerned(r, m, o) {
		return code, d.reroute(r.deliver(m, now), r, m, now, o, code)
	}
	t := &task{client: o.client, conn: o.conn, keep: o.will != nil, whole: o.will != nil, cost: m.size()}
	if m.publish.Retain && !t.keep {
		t.ledger = ledger
	}
	kept := m.own()
	copies := d.copies(r, m, kept, now)
	if err := d.pack(t, kept, copies); err != nil {
		giveUp(copies)
		return wire.UnspecifiedError, false
	}
	t.done = func(err error) {
		if err != nil {
			giveUp(copies)
			d.published(t, kept, o, storeCode(err))
		} else if lost := d.release(kept, copies, time.Now()); !d.reroute(lost, &d.router, kept, now, o, code) {
			d.published(t, kept, o, code)
		}
	}
	switch {
	case o.will != nil:
		o.will.gather(d, t)
	case o.id != 0:
		o.gather(d, t, &kept.publish)
	default:
		d.add(t)
	}
	return code, true
}

// gather hands p, which is t, to the disk together with its identifier, in the order in
// which the identifier is taken and given back.
func (o *origin) gather(d *disk, t *task, p *wire.Publish) {
	cl := o.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if !cl.gone && cl.receiver.Remember(o.token) {
		value := identifierValue(session.DigestOf(p, o.conn.version))
		t.ops = append(t.ops, store.Op{Key: identifierKey(cl.number, o.id), Value: value})
	}
	d.add(t)
}

// concerned reports whether the message has to wait.
func (d *disk) concerned(r *router, m *message, o *origin) bool {
	if o.id != 0 || o.will != nil && o.will.owner != nil {
		return true
	}
	if m.publish.QoS == wire.AtMostOnce {
		return false
	}
	if m.publish.Retain || o.client != nil && d.behind(o.client) {
		return true
	}
	if o.conn != nil && o.conn.signals.failure.Load() != nil {
		return true // what was before it was refused
	}
	return slices.ContainsFunc(r.targets, func(t target) bool { return t.local == nil && !t.atMostOnce(m) && t.client.lasting.Load() })
}

// atMostOnce reports whether the copy of m has QoS 0.
func (t *target) atMostOnce(m *message) bool { return min(t.qos, m.publish.QoS) == wire.AtMostOnce }

// copy makes the copy of m for t. ok is false if the client has no room for it.
func (d *disk) copy(m *message, t *target, now time.Time) (c delivery, ok bool) {
	c.target = *t
	c.target.ids = slices.Clone(t.ids)
	if t.local != nil || !t.client.lasting.Load() {
		return c, true
	}
	c.parcel = t.client.expect(m, &c.target, now)
	return c, c.parcel != nil
}

// copies makes the copies of m, which is kept, for all targets. Those at QoS 0 go at
// once.
func (d *disk) copies(r *router, m, kept *message, now time.Time) (copies []delivery) {
	var lost []orphan
	for i := range r.targets {
		t := &r.targets[i]
		ok := false
		if t.atMostOnce(m) {
			ok = t.deliver(m, r, now)
		} else if c, taken := d.copy(kept, t, now); taken {
			copies, ok = append(copies, c), true
		}
		if !ok && t.group != "" {
			lost = append(lost, orphan{message: kept, group: t.group, not: t.client})
		}
	}
	if len(lost) > 0 {
		copies = d.copyElsewhere(copies, lost, r, now)
	}
	return copies
}

// pack adds to t what has to be durable: m, once, and its place in each queue.
func (d *disk) pack(t *task, m *message, copies []delivery) error {
	n := 0
	for i := range copies {
		if copies[i].parcel != nil {
			n++
		}
	}
	t.cost += len(copies) * deliveryCost
	if n == 0 {
		return nil
	}
	value, err := messageValue(m)
	if err != nil {
		return err
	}
	m.stored = &stored{number: d.message.Add(1)}
	m.stored.copies.Store(int32(n))
	t.ops = append(slices.Grow(t.ops, n+2), store.Op{Key: recordKey(messageRecord, m.stored.number), Value: value})
	for i := range copies {
		if p := copies[i].parcel; p != nil {
			t.ops = append(t.ops, p.save())
		}
	}
	return nil
}

// deliveryCost is what a copy needs beside the message.
const deliveryCost = 256

// published says what became of m.
func (d *disk) published(t *task, m *message, o *origin, code wire.ReasonCode) {
	if o.done != nil {
		o.done(code)
	}
	switch {
	case o.will != nil:
		d.tell(t, Published{o.will.peer, &m.publish, code})
	case o.client != nil:
		d.tell(t, Published{o.client.lastPeer(), &m.publish, code})
	}
}

// release sends copies that are durable. It returns those that other members of shared
// subscriptions have to take.
func (d *disk) release(m *message, copies []delivery, now time.Time) (lost []orphan) {
	for i := range copies {
		t, p := &copies[i].target, copies[i].parcel
		switch {
		case p != nil && !p.client.submit(p, &d.router, now):
			lost = append(lost, orphan{message: m, group: p.group, parcel: p})
		case p == nil && !t.deliver(m, &d.router, now):
			lost = append(lost, orphan{message: m, group: t.group, not: t.client})
		}
	}
	d.router.endMessage()
	return lost
}

func giveUp(copies []delivery) {
	for i := range copies {
		if p := copies[i].parcel; p != nil {
			p.client.giveUp(p)
		}
	}
}

// own returns a copy of m that nobody shares, with memory that nothing changes.
func (m *message) own() *message {
	own := *m.keep()
	own.kept = &own
	own.stored = nil
	return &own
}

// save returns the record of the parcel.
func (p *parcel) save() store.Op {
	q := queued{
		qos: p.out.Publish.QoS, retain: p.out.Publish.Retain,
		packetID: p.out.Publish.PacketID, released: p.released, ids: p.ids, group: p.group,
	}
	return store.Op{Key: p.key(), Value: q.value()}
}

func (p *parcel) key() []byte {
	return recordKey(queuedRecord, p.stored.number, p.client.number, p.place)
}

// remove removes the record.
func (p *parcel) remove(d *disk) {
	d.later(deletion(p.key()))
	p.removed(d)
}

// removed is called when the record is being removed. With the last one goes that of the
// message, which must not go before any of them.
func (p *parcel) removed(d *disk) {
	if p.stored.copies.Add(-1) == 0 {
		d.later(deletion(recordKey(messageRecord, p.stored.number)))
	}
}
