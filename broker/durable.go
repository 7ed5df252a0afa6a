package broker

import (
	"errors"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// origin is where a message comes from, and what is to happen when it is durable.
type origin struct {
	client *client               // publisher, whose messages stay in order; nil: none
	id     uint16                // QoS 2 identifier to record for it; 0: none
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
		for i := range r.targets {
			r.targets[i].deliver(m, r, now)
		}
		return code, false
	}
	t := &task{client: o.client, keep: o.will != nil, cost: m.size()}
	kept := m.own()
	var copies []delivery
	for i := range r.targets {
		if target := &r.targets[i]; target.atMostOnce(m) {
			target.deliver(m, r, now)
		} else if c, ok := d.copy(kept, target, now); ok {
			copies = append(copies, c)
		}
	}
	if err := d.pack(t, kept, copies); err != nil {
		giveUp(copies)
		return wire.UnspecifiedError, false
	}
	if o.id != 0 {
		t.ops = append(t.ops, store.Op{Key: identifierKey(o.client.number, o.id), Value: newRecord(0)})
	}
	t.done = func(err error) { d.publishDone(t, kept, copies, o, code, err) }
	if o.will != nil {
		o.will.gather(d, t)
	} else {
		d.add(t)
	}
	return code, true
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

// publishDone sends what waited, or takes it back, and says so.
func (d *disk) publishDone(t *task, m *message, copies []delivery, o *origin, code wire.ReasonCode, err error) {
	if err != nil {
		giveUp(copies)
		code = storeCode(err)
	} else {
		d.release(m, copies, time.Now())
	}
	if o.done != nil {
		o.done(code)
	}
	var from *Peer
	switch {
	case o.will != nil:
		from = o.will.peer
	case o.client != nil:
		from = o.client.lastPeer()
	}
	d.tell(t, Published{from, &m.publish, code})
}

// release sends copies that are durable.
func (d *disk) release(m *message, copies []delivery, now time.Time) {
	for i := range copies {
		if p := copies[i].parcel; p != nil {
			p.client.submit(p, &d.router, now)
		} else {
			copies[i].target.deliver(m, &d.router, now)
		}
	}
	d.router.endMessage()
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
		message: p.stored.number, qos: p.out.Publish.QoS, retain: p.out.Publish.Retain,
		packetID: p.out.Publish.PacketID, released: p.released, ids: p.ids,
	}
	return store.Op{Key: recordKey(queuedRecord, p.client.number, p.place), Value: q.value()}
}

// remove removes the record, and with the last one that of the message.
func (p *parcel) remove(d *disk) {
	key := recordKey(queuedRecord, p.client.number, p.place)
	if p.stored.copies.Add(-1) > 0 {
		d.later(deletion(key))
		return
	}
	d.later(deletion(key), deletion(recordKey(messageRecord, p.stored.number)))
}

// storeCode returns the reason for what could not be made durable. A full disk is a
// quota, the rest is nothing that the client could do something about.
func storeCode(err error) wire.ReasonCode {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return wire.QuotaExceeded
	}
	return wire.ImplementationSpecificError
}

// publishDurably hands the message of a client to the disk. It reports whether it
// has to wait there; the answer follows then.
func (c *conn) publishDurably(p *wire.Publish, m *message, t session.Token, now time.Time) (code wire.ReasonCode, waits bool) {
	o := &origin{client: c.client}
	if p.QoS == wire.ExactlyOnce && c.client.lasting.Load() {
		o.id = p.PacketID
	}
	d := c.b.disk
	o.done = func(code wire.ReasonCode) { d.answer(c, o, t, code) }
	return d.publish(&c.router, m, now, o)
}

// answer acknowledges a message after the disk.
func (d *disk) answer(c *conn, o *origin, t session.Token, code wire.ReasonCode) {
	if code.Failed() {
		d.answerFailure(c.client, t, code)
		return
	}
	if o.id != 0 {
		c.client.remember(t, o.id)
	}
	if c.version < wire.V5 {
		// [MQTT-3.3.5-2] of 3.1.1: it can only be acknowledged as usual.
		code = wire.Success
	}
	if err := c.acknowledge(t, code, ""); err == nil {
		d.router.dirty = append(d.router.dirty, c)
	}
}

// answerFailure tells a client that its message is not durable. Where the version has
// no word for it, the connection ends without an answer: the message comes again, and
// as a new one.
func (d *disk) answerFailure(cl *client, t session.Token, code wire.ReasonCode) {
	cl.mu.Lock()
	c := cl.conn
	if c != nil && c.version == wire.V5 {
		text := storeFailed
		if c.terse {
			text = "" // [MQTT-3.1.2-29]
		}
		_ = cl.receiver.AckWithReason(t, code, text) // stale: nobody waits for it
		d.router.dirty = append(d.router.dirty, c)
		c = nil
	} else {
		cl.receiver.Drop(t)
	}
	cl.mu.Unlock()
	if c != nil {
		c.fail(&refusal{code: code, text: storeFailed})
	}
}

// storeFailed is what clients are told.
const storeFailed = "can not be stored"

// checkEncoding refuses what the records have no place for, such as strings that are
// no UTF-8. What clients send was checked when it came.
func checkEncoding(p *wire.Publish) error {
	w := newRecord(p.Size(wire.V5) + 8)
	q := *p
	q.Payload = nil
	if q.Properties != nil {
		properties := *q.Properties
		properties.TopicAlias, properties.SubscriptionIDs = 0, nil
		q.Properties = &properties
	}
	return w.publish(&q)
}

// awaitDisk waits until the disk has taken enough of what the client has published.
// It reports whether the connection goes on.
func (c *conn) awaitDisk() bool {
	d := c.b.disk
	if d == nil || !d.crowded(c.client) {
		return true
	}
	c.router.flush()
	c.wake()
	return d.admit(c.client, c.signals.noWriter)
}

// publishOwn publishes a message of the program. It reports whether that had to wait
// for the disk.
func (b *Broker) publishOwn(r *router, p *wire.Publish, now time.Time) (code wire.ReasonCode, waited bool, err error) {
	m := newMessage(p, "", now)
	d := b.disk
	if d == nil {
		code = b.publish(r, m, now)
		r.flush()
		return code, false, nil
	}
	if err := checkEncoding(p); err != nil {
		return 0, false, err
	}
	if p.QoS > wire.AtMostOnce && !d.admit(nil, nil) {
		return 0, false, ErrClosed
	}
	done := make(chan wire.ReasonCode, 1)
	code, waits := d.publish(r, m, now, &origin{done: func(code wire.ReasonCode) { done <- code }})
	r.flush()
	if !waits {
		return code, false, nil
	}
	select {
	case code = <-done:
		return code, true, nil
	case <-d.ended:
	case <-b.ctx.Done():
	}
	select {
	case code = <-done:
		return code, true, nil
	default:
		return 0, true, ErrClosed
	}
}
