package broker

import (
	"errors"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// queueEntry is a message in the queue of one session. It stays until the client has
// acknowledged it.
type queueEntry struct {
	out     session.Outgoing
	message *message
	group   *group // the shared subscription that it came through; nil: none
	slot    *slot  // nil: the store has nothing of it
	ids     int    // number of subscription identifiers
	charged bool   // counted in held
}

// held counts the messages that the sender holds: those that wait and those that are
// not acknowledged.
type held struct {
	messages, bytes int
	payer           *holder
	swept           time.Time           // when expired messages were last looked for
	done            []*session.Outgoing // scratch memory
}

// add counts an entry whose message has been charged to the payer.
func (h *held) add(e *queueEntry) {
	e.charged = true
	h.messages++
	h.bytes += e.size()
}

// drop undoes add. It may be called more than once.
func (h *held) drop(e *queueEntry) {
	if !e.charged {
		return
	}
	e.charged = false
	h.messages--
	h.bytes -= e.size()
	h.payer.drop(e.message, costOfEntry(e.ids))
}

// size returns what the entry counts against Config.QueuedBytes.
func (e *queueEntry) size() int { return e.message.size() + e.idBytes() }

// idBytes returns the memory of the entry's subscription identifiers.
func (e *queueEntry) idBytes() int { return idBytes(e.ids) }

// queueLocked makes the entry of m for t. It returns nil if the session is over or has
// no space for m.
func (cl *client) queueLocked(m *message, t *target, now time.Time) *queueEntry {
	if cl.gone {
		return nil
	}
	kept := cl.makeSpaceLocked(m, len(t.ids), now)
	if kept == nil {
		if t.group == nil {
			cl.hub.counts.dropped.Add(1)
		}
		return nil
	}
	e := &queueEntry{message: kept, group: t.group, ids: len(t.ids)}
	e.out.Publish, e.out.Expires, e.out.Owner = kept.publish, kept.expiry(), e
	// [MQTT-3.8.4-8] the lower of the published and the granted QoS applies.
	e.out.Publish.QoS = min(kept.publish.QoS, t.qos)
	e.out.Publish.Retain = t.retain
	if len(t.ids) > 0 {
		// [MQTT-3.3.4-3] the message carries the identifiers of the subscriptions.
		e.out.Publish.Properties = new(withIDs(kept.publish.Properties, slices.Clone(t.ids)))
	}
	cl.held.add(e)
	return e
}

// sendLocked submits the entry, which is sent as soon as order and quota allow.
func (cl *client) sendLocked(e *queueEntry, now time.Time) {
	if cl.conn != nil && cl.link.Version < wire.V5 {
		e.out.Publish.Properties = nil
	}
	cl.hub.counts.sent.Add(1)
	cl.sender.Submit(&e.out, now)
	cl.collectCompletedLocked(&cl.hub.counts)
}

// reserve makes an entry of m that is sent when the store has it. It returns nil if
// that is not possible. If the client could get the message at once, the entry gets
// its packet identifier now, so that both are stored together.
func (cl *client) reserve(m *message, t *target, now time.Time) (e *queueEntry, ahead []delivery) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if t.before != nil && !cl.gone {
		var ok bool
		if ahead, ok = cl.aheadLocked(nil, m, t, now); !ok {
			cl.hub.counts.dropped.Add(1)
			return nil, ahead
		}
	}
	return cl.reserveLocked(m, t, now), ahead
}

func (cl *client) reserveLocked(m *message, t *target, now time.Time) *queueEntry {
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

// send sends an entry that the store has. It returns false if the session is over and
// another member of the shared subscription has to take the message.
func (cl *client) send(e *queueEntry, r *router, now time.Time) (taken bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.gone {
		cl.sender.GiveUp(&e.out)
		cl.held.drop(e)
		if e.group != nil {
			return false
		}
		cl.hub.persistence.remove(e.slot)
		return true
	}
	idle := cl.link.Pending() == 0
	cl.sendLocked(e, now)
	cl.noteWriterLocked(idle, r)
	return true
}

// giveUp takes back an entry that was not stored.
func (cl *client) giveUp(e *queueEntry) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.sender.GiveUp(&e.out)
	cl.held.drop(e)
}

// noteWriterLocked adds the connection to r if its writer has to be woken.
func (cl *client) noteWriterLocked(wasIdle bool, r *router) {
	if wasIdle && cl.conn != nil && cl.link.Pending() > 0 {
		r.dirty = append(r.dirty, cl.conn)
	}
}

// deliver sends m to the client or queues it. It adds the connection to r if its
// writer has to be woken. It returns false if the session is over or has no space.
func (cl *client) deliver(m *message, t *target, r *router, now time.Time) (taken bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.gone {
		return false
	}
	idle := cl.link.Pending() == 0
	if t.before != nil {
		if _, ok := cl.aheadLocked(nil, m, t, now); !ok {
			cl.hub.counts.dropped.Add(1)
			return false
		}
	}
	if !t.atMostOnce(m) || t.stored || !cl.sendAtMostOnceLocked(m, t, r) {
		e := cl.queueLocked(m, t, now)
		if e == nil {
			return false
		}
		cl.sendLocked(e, now)
	}
	cl.noteWriterLocked(idle, r)
	return true
}

// sendAtMostOnceLocked writes m at QoS 0 past the queue. It returns false if m has to
// go through the queue.
func (cl *client) sendAtMostOnceLocked(m *message, t *target, r *router) (done bool) {
	if cl.conn == nil {
		return true // the client is away
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
	} else if frame := r.frames.of(&p, v5); frame != nil {
		sent, err = cl.sender.SendEncoded(frame)
	}
	if sent {
		cl.hub.counts.sent.Add(1)
	} else if err != nil {
		// [MQTT-3.1.2-25] too large for this client: it counts as delivered.
		cl.hub.counts.expired.Add(1)
	}
	return sent || err != nil
}

// sweepInterval bounds how often a full queue is searched for expired messages.
const sweepInterval = time.Second

// makeSpaceLocked returns the copy of m to queue, with that many subscription
// identifiers, or nil if there is no space. It first removes expired messages from a full
// queue.
func (cl *client) makeSpaceLocked(m *message, ids int, now time.Time) *message {
	if kept := cl.takeSpaceLocked(m, ids); kept != nil || now.Sub(cl.held.swept) < sweepInterval {
		return kept
	}
	cl.held.swept = now
	cl.sender.DropExpired(now)
	cl.collectCompletedLocked(&cl.hub.counts)
	return cl.takeSpaceLocked(m, ids)
}

func (cl *client) takeSpaceLocked(m *message, ids int) *message {
	cfg := &cl.hub.cfg
	if cl.held.messages >= cfg.QueuedMessages || cl.held.bytes+m.size()+idBytes(ids) > cfg.QueuedBytes {
		return nil
	}
	return cl.held.payer.keep(m, costOfEntry(ids))
}

func withIDs(base *wire.PublishProperties, ids []uint32) wire.PublishProperties {
	var p wire.PublishProperties
	if base != nil {
		p = *base
	}
	p.SubscriptionIDs = ids
	return p
}

// collectCompletedLocked releases the memory of messages that the sender has completed.
func (cl *client) collectCompletedLocked(counts *statsCounters) {
	cl.held.done = cl.sender.Completed(cl.held.done[:0])
	for _, o := range cl.held.done {
		e := o.Owner.(*queueEntry)
		cl.held.drop(e)
		if e.slot != nil {
			cl.hub.persistence.remove(e.slot)
		}
		if o.Result().Err != nil && !isRefusal(o.Result().Err) {
			counts.expired.Add(1)
		}
	}
	clear(cl.held.done)
	cl.recordLocked()
}

// pumpLocked sends what may be sent now. idle says that nothing was waiting to be written
// before.
func (cl *client) pumpLocked(r *router, idle bool, now time.Time) {
	cl.sender.Pump(now)
	cl.collectCompletedLocked(&cl.hub.counts)
	cl.noteWriterLocked(idle, r)
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*session.ServerError](err)
	return ok
}
