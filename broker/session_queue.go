package broker

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// queueEntry is a message in the queue of one session, until the client has
// acknowledged it.
type queueEntry struct {
	out     session.Outgoing
	message *message
	group   *group // the shared subscription that it came through; nil: none
	slot    *slot  // nil: the store has nothing of it
}

// slot is the place of an entry in the queue as the store has it.
type slot struct {
	stored   *storedMessage
	session  uint64 // number of the client
	number   uint64 // in the queue
	released uint64 // orders the PUBRECs; 0: none has come
	moved    bool   // goes to another session together with its record
	ids      []uint32
}

// held counts what the sender holds: messages that wait or are not acknowledged.
type held struct {
	messages, bytes int
	swept           time.Time           // when those too old were last looked for
	done            []*session.Outgoing // scratch of settle
}

func (h *held) add(m *message, sign int) {
	h.messages += sign
	h.bytes += sign * m.size()
}

// queueLocked makes the entry of m for t. It returns nil if the session is over or has
// no room.
func (cl *client) queueLocked(m *message, t *target, now time.Time) *queueEntry {
	if cl.gone {
		return nil
	}
	if !cl.hasRoomLocked(m, now) {
		if t.group == nil {
			cl.b.counts.dropped.Add(1)
		}
		return nil
	}
	kept := m.keep()
	e := &queueEntry{message: kept, group: t.group}
	e.out.Publish, e.out.Expires, e.out.Owner = kept.publish, kept.expires, e
	// [MQTT-3.8.4-8] the lower of the published and the granted QoS.
	e.out.Publish.QoS = min(kept.publish.QoS, t.qos)
	e.out.Publish.Retain = t.retain
	if len(t.ids) > 0 {
		// [MQTT-3.3.4-3] the message carries the identifiers of the subscriptions.
		e.out.Publish.Properties = new(withIDs(kept.publish.Properties, slices.Clone(t.ids)))
	}
	cl.held.add(kept, 1)
	return e
}

// sendLocked sends the entry as soon as order and quota allow.
func (cl *client) sendLocked(e *queueEntry, now time.Time) {
	if cl.conn != nil && cl.link.Version < wire.V5 {
		e.out.Publish.Properties = nil
	}
	cl.b.counts.sent.Add(1)
	cl.sender.Submit(&e.out, now)
	cl.settle(&cl.b.counts)
}

// reserve makes an entry of m that is sent when the store has it, or returns nil. A
// client that can take it at once gives it its packet identifier, so that both are
// stored together.
func (cl *client) reserve(m *message, t *target, now time.Time) *queueEntry {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	e := cl.queueLocked(m, t, now)
	if e == nil {
		return nil
	}
	cl.slots++
	e.slot = &slot{session: cl.number, number: cl.slots}
	if len(t.ids) > 0 {
		e.slot.ids = e.out.Publish.Properties.SubscriptionIDs
	}
	e.out.Durable = true
	cl.sender.Reserve(&e.out)
	return e
}

// send is for an entry that the store has. It returns false if the session is over and
// another member of the shared subscription has to take it.
func (cl *client) send(e *queueEntry, r *router, now time.Time) (taken bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.gone {
		cl.sender.GiveUp(&e.out)
		if e.group != nil {
			return false
		}
		cl.b.persistence.remove(e)
		return true
	}
	idle := cl.link.Pending() == 0
	cl.sendLocked(e, now)
	cl.rouseLocked(idle, r)
	return true
}

// giveUp takes back an entry that the store has not got.
func (cl *client) giveUp(e *queueEntry) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.sender.GiveUp(&e.out)
	cl.held.add(e.message, -1)
}

// rouseLocked notes the connection in r if its writer has to be woken.
func (cl *client) rouseLocked(wasIdle bool, r *router) {
	if wasIdle && cl.conn != nil && cl.link.Pending() > 0 {
		r.dirty = append(r.dirty, cl.conn)
	}
}

// deliver sends m to the client or queues it. It notes the connection in r when
// its writer has to be woken. It returns false if the session is over or has no room.
func (cl *client) deliver(m *message, t *target, r *router, now time.Time) (taken bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.gone {
		return false
	}
	idle := cl.link.Pending() == 0
	if !t.atMostOnce(m) || t.stored || !cl.sendAtMostOnceLocked(m, t, r) {
		e := cl.queueLocked(m, t, now)
		if e == nil {
			return false
		}
		cl.sendLocked(e, now)
	}
	cl.rouseLocked(idle, r)
	return true
}

// sendAtMostOnceLocked writes m at QoS 0 past the queue. It returns false if something
// is in the way.
func (cl *client) sendAtMostOnceLocked(m *message, t *target, r *router) (done bool) {
	if cl.conn == nil {
		return true // nobody waits for it
	}
	p := m.publish
	p.QoS, p.Retain = wire.AtMostOnce, t.retain
	v5 := cl.link.Version == wire.V5
	var sent bool
	var err error
	if v5 && len(t.ids) > 0 {
		r.properties = withIDs(p.Properties, t.ids)
		p.Properties = &r.properties
		sent, err = cl.sender.SendAtMostOnce(&p)
	} else if cl.link.Aliases(p.Topic) {
		sent, err = cl.sender.SendAtMostOnce(&p)
	} else if frame := r.frame(&p, v5); frame != nil {
		sent, err = cl.sender.SendEncoded(frame)
	}
	if sent {
		cl.b.counts.sent.Add(1)
	} else if err != nil {
		// [MQTT-3.1.2-25] too large for this client: as if delivered.
		cl.b.counts.expired.Add(1)
	}
	return sent || err != nil
}

// sweepInterval keeps a full queue from being searched for every new message.
const sweepInterval = time.Second

// hasRoomLocked reports whether m may join what waits. A full queue is first rid of
// messages that got too old.
func (cl *client) hasRoomLocked(m *message, now time.Time) bool {
	cfg := &cl.b.cfg
	fits := func() bool {
		return cl.held.messages < cfg.QueuedMessages && cl.held.bytes+m.size() <= cfg.QueuedBytes
	}
	if fits() {
		return true
	}
	if now.Sub(cl.held.swept) < sweepInterval {
		return false
	}
	cl.held.swept = now
	cl.sender.DropExpired(now)
	cl.settle(&cl.b.counts)
	return fits()
}

func withIDs(base *wire.PublishProperties, ids []uint32) wire.PublishProperties {
	var p wire.PublishProperties
	if base != nil {
		p = *base
	}
	p.SubscriptionIDs = ids
	return p
}

// settle gives back the room of messages that the sender has completed.
func (cl *client) settle(counts *counters) {
	cl.held.done = cl.sender.Completed(cl.held.done[:0])
	for _, o := range cl.held.done {
		e := o.Owner.(*queueEntry)
		cl.held.add(e.message, -1)
		if e.slot != nil {
			cl.b.persistence.remove(e)
		}
		if o.Result().Err != nil && !isRefusal(o.Result().Err) {
			counts.expired.Add(1)
		}
	}
	clear(cl.held.done)
	cl.recordLocked()
}
