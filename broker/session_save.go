package broker

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
)

// recordLocked adds the records that the next steps of a stored session wait for. It
// is called after everything that may have caused such a step.
func (cl *client) recordLocked() {
	if cl.saved {
		cl.recordStepsLocked()
	}
}

func (cl *client) recordStepsLocked() {
	cl.held.done = cl.sender.Unrecorded(cl.held.done[:0])
	discards := cl.receiver.Discards(nil)
	if len(cl.held.done) == 0 && len(discards) == 0 {
		return
	}
	outs := slices.Clone(cl.held.done)
	clear(cl.held.done)
	if len(outs) > 0 {
		cl.hub.persistence.Add(cl.stepsTaskLocked(outs))
	}
	if len(discards) > 0 {
		// A separate task, because a full disk may still take removals.
		t := &journal.Task{Keep: true, Done: func(error) { cl.recorded(nil, discards) }}
		for _, id := range discards {
			t.Ops = append(t.Ops, records.Deletion(records.IdentifierKey(cl.number, id)))
		}
		cl.hub.persistence.Add(t)
	}
}

// stepsTaskLocked returns the task that records the next steps of outs.
func (cl *client) stepsTaskLocked(outs []*session.Outgoing) *journal.Task {
	t := &journal.Task{Keep: true, Done: func(error) { cl.recorded(outs, nil) }}
	for _, o := range outs {
		e := o.Owner.(*queueEntry)
		if o.Released() && e.slot.released == 0 {
			// [MQTT-4.6.0-4] PUBRELs are repeated in the order of the PUBRECs.
			cl.slots++
			e.slot.released = cl.slots
		}
		t.Ops = append(t.Ops, e.record())
	}
	return t
}

// recorded makes the steps after they were recorded.
func (cl *client) recorded(outs []*session.Outgoing, discards []uint16) {
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
		cl.collectCompletedLocked(&cl.hub.counts)
	}
	cl.noteWriterLocked(idle, &cl.hub.committed)
}

// record returns the record of the entry.
func (e *queueEntry) record() store.Op {
	q := records.Queued{
		QoS: e.out.Publish.QoS, Retain: e.out.Publish.Retain,
		PacketID: e.out.Publish.PacketID, Released: e.slot.released, IDs: e.slot.ids, Group: e.group.name(),
	}
	return store.Op{Key: e.slot.key(), Value: q.Value()}
}

// saveLocked returns the record of the session, or its removal. Called with client.mu held.
func (cl *client) saveLocked() store.Op {
	cl.saves++
	return cl.hub.sessionOp(cl.number, &sessionState{
		peer: cl.seen.peer, expiry: cl.expiry, ended: cl.gone, connected: cl.conn != nil,
		since: cl.seen.since, will: cl.will, leaving: cl.leaving,
	})
}

// saveLaterLocked records the session if it is stored. Called with client.mu held.
func (cl *client) saveLaterLocked() {
	if cl.saved {
		cl.hub.persistence.Later(cl.saveLocked())
	}
}

// eraseLocked removes a session that is over from the store. Called with hub.mu and
// client.mu held.
func (cl *client) eraseLocked() {
	p := cl.hub.persistence
	cl.durable.Store(false)
	// The session goes first, so that a session in the store is always complete.
	p.Add(&journal.Task{Keep: true, Ops: []store.Op{cl.saveLocked()}, Done: cl.hub.identifiers.erasing(cl.id)})
	for id := range cl.receiver.Remembered() {
		p.Later(records.Deletion(records.IdentifierKey(cl.number, id)))
	}
}

// dropQueueLocked drops the messages of a session that is over. Called with hub.mu
// and client.mu held.
func (cl *client) dropQueueLocked() {
	cl.sender.Fail(session.ErrSessionEnded)
	for _, o := range cl.sender.Completed(nil) {
		e := o.Owner.(*queueEntry)
		cl.held.drop(e)
		if e.slot != nil && !e.slot.moved {
			cl.hub.persistence.remove(e.slot)
		}
	}
}
