package broker

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// publisher is the origin of a message. The zero value is the program.
type publisher struct {
	client  *client    // the client, whose messages stay in order; nil: none
	conn    connection // its connection
	version wire.Version
	token   session.Token // of the message
	id      uint16        // QoS 2 identifier to store with it; 0: none
	will    *will         // nil: the message is not a will
}

// publication is a message that waits for the store.
type publication struct {
	publisher
	message  *message
	copies   []delivery
	ahead    []delivery           // retained messages to send first, see client.aheadLocked
	code     wire.ReasonCode      // the answer if the store takes the message
	answered chan wire.ReasonCode // for the program; holds one value
}

// delivery is one copy of a message, which waits for the store.
type delivery struct {
	message *message
	target  target
	entry   *queueEntry // nil: the session is not stored
}

func newPublication(from publisher, code wire.ReasonCode) *publication {
	p := &publication{publisher: from, code: code}
	if from == (publisher{}) {
		p.answered = make(chan wire.ReasonCode, 1)
	}
	return p
}

// mustCommit reports whether m has to wait for the store: because a part of it has to
// be stored, or because an earlier message of the same publisher waits.
func (h *hub) mustCommit(r *router, m *message, from *publisher) bool {
	p := h.persistence
	switch {
	case !p.Stores():
		return false
	case from.id != 0 || from.will != nil && from.will.owner != nil:
		return true
	case m.publish.QoS == wire.AtMostOnce:
		return false
	case m.publish.Retain || from.client != nil && p.Behind(&from.client.waiting):
		return true
	case from.conn != nil && from.conn.failing():
		return true // the message before it was refused
	}
	return slices.ContainsFunc(r.targets, func(t target) bool { return t.local == nil && !t.atMostOnce(m) && t.client.durable.Load() })
}

// commitPublish passes the message to the store. change is the first begin that can
// have m as a retained message. Copies at QoS 0 are sent at once. All others, and the
// answer, wait for the store.
func (h *hub) commitPublish(r *router, m *message, now time.Time, p *publication, change uint64) *publication {
	t := &journal.Task{Cost: m.size()}
	if p.client != nil {
		t.Share = &p.client.waiting
	}
	if !m.publish.Retain {
		change = 0
	}
	if p.will != nil {
		t.Keep, t.Whole = true, true
	} else {
		t.Refused = func() error { return p.refused(h, change) }
	}
	p.message = m.keep()
	p.reserve(h, r, now)
	if err := h.packAll(t, p); err != nil {
		giveUp(p.ahead)
		giveUp(p.copies)
		return nil
	}
	t.Done = func(err error) { p.committed(h, t, err) }
	switch {
	case p.will != nil:
		p.will.commit(h, t)
	case p.id != 0:
		p.commitWithID(h, t)
	default:
		h.persistence.Add(t)
	}
	return p
}

// refused returns the error of a message that must not be stored, or nil. There are
// two cases. The connection is ending because an earlier message could not be stored:
// all then come again in their order. Or the store has refused change, which contains
// the retained message.
func (p *publication) refused(h *hub, change uint64) error {
	if p.conn != nil && p.conn.failing() {
		return errGone
	}
	return h.changes.refusedAt(change)
}

// commitWithID adds t together with the identifier of the message. It holds
// client.mu, so that identifiers are stored and removed in the order in which they
// are used.
func (p *publication) commitWithID(h *hub, t *journal.Task) {
	cl := p.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if !cl.gone && cl.receiver.Remember(p.token) {
		digest := records.Identifier(session.DigestOf(&p.message.publish, p.version))
		t.Ops = append(t.Ops, store.Op{Key: records.IdentifierKey(cl.number, p.id), Value: digest.Value()})
	}
	h.persistence.Add(t)
}

// committed sends the copies if the store has the message. Otherwise it reports the
// failure.
func (p *publication) committed(h *hub, t *journal.Task, err error) {
	if err != nil {
		giveUp(p.ahead)
		giveUp(p.copies)
		p.finish(h, t, storeCode(err))
		return
	}
	now := time.Now()
	for i := range p.ahead {
		h.release(p.ahead[i:i+1], now)
	}
	lost := h.release(p.copies, now)
	if len(lost) == 0 || !h.passOn(lost, &h.committed, now, p) {
		p.finish(h, t, p.code)
	}
}

// finish answers the publisher and tells the observers.
func (p *publication) finish(h *hub, t *journal.Task, code wire.ReasonCode) {
	switch {
	case p.will != nil:
		h.persistence.tell(t, Published{p.will.peer, &p.message.publish, code})
	case p.conn != nil:
		p.conn.answerPublish(p.token, code)
		h.persistence.tell(t, Published{p.client.lastPeer(), &p.message.publish, code})
	default:
		p.answered <- code
	}
}

// reserve makes the copies for all targets. It sends those at QoS 0 at once.
func (p *publication) reserve(h *hub, r *router, now time.Time) {
	var lost []orphan
	for i := range r.targets {
		t := &r.targets[i]
		ok := false
		if t.atMostOnce(p.message) {
			ok = t.deliver(p.message, r, now)
		} else {
			c, ahead, reserved := reserve(p.message, t, now)
			p.ahead = append(p.ahead, ahead...)
			if ok = reserved; ok {
				p.copies = append(p.copies, c)
			}
		}
		if !ok && t.group != nil {
			lost = append(lost, orphan{message: p.message, group: t.group.whole, not: t.client})
		}
	}
	if len(lost) > 0 {
		p.copies = h.reserveElsewhere(p.copies, lost, r, now)
	}
}

// reserve makes the copy of m for t, and copies of the messages that have to be sent
// ahead of it. ok is false if the client has no space for it.
func reserve(m *message, t *target, now time.Time) (c delivery, ahead []delivery, ok bool) {
	c = delivery{message: m, target: *t}
	c.target.ids = slices.Clone(t.ids)
	if t.local != nil || !t.client.durable.Load() {
		return c, nil, true
	}
	c.entry, ahead = t.client.reserve(m, &c.target, now)
	return c, ahead, c.entry != nil
}

// packAll adds to t the operations for p.
func (h *hub) packAll(t *journal.Task, p *publication) error {
	for i := range p.ahead {
		if err := h.pack(t, p.ahead[i].message, p.ahead[i:i+1]); err != nil {
			return err
		}
	}
	return h.pack(t, p.message, p.copies)
}

// atMostOnce reports whether the copy of m has QoS 0.
func (t *target) atMostOnce(m *message) bool { return min(t.qos, m.publish.QoS) == wire.AtMostOnce }

// pack adds to t the operations for m: the message once, and its place in each queue.
func (h *hub) pack(t *journal.Task, m *message, copies []delivery) error {
	n := 0
	for i := range copies {
		if copies[i].entry != nil {
			n++
		}
	}
	t.Cost += len(copies) * deliveryCost
	if n == 0 {
		return nil
	}
	value, err := m.record()
	if err != nil {
		return err
	}
	stored := &storedMessage{number: h.persistence.message.Add(1)}
	stored.copies.Store(int32(n))
	t.Ops = append(slices.Grow(t.Ops, n+2), store.Op{Key: records.MessageKey(stored.number), Value: value})
	for i := range copies {
		if e := copies[i].entry; e != nil {
			e.slot.stored = stored
			t.Ops = append(t.Ops, e.record())
		}
	}
	return nil
}

// deliveryCost is the memory of a copy besides the message.
const deliveryCost = 256

// release sends the stored copies of one message. It returns those that other members
// of shared subscriptions have to take.
func (h *hub) release(copies []delivery, now time.Time) (lost []orphan) {
	r := &h.committed
	for i := range copies {
		c := &copies[i]
		switch e := c.entry; {
		case e != nil && !c.target.client.send(e, r, now):
			lost = append(lost, orphan{message: c.message, group: e.group.whole, slot: e.slot})
		case e == nil && !c.target.deliver(c.message, r, now):
			lost = append(lost, orphan{message: c.message, group: c.target.group.whole, not: c.target.client})
		}
	}
	r.endMessage()
	return lost
}

func giveUp(copies []delivery) {
	for i := range copies {
		if e := copies[i].entry; e != nil {
			copies[i].target.client.giveUp(e)
		}
	}
}
