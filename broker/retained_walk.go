package broker

import (
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/wire"
)

// A new subscription may match many retained messages. The first step is done with
// SUBSCRIBE itself; it suffices for most subscriptions. A walk does the rest step by
// step on the goroutine that writes to the client, as fast as the client reads. No lock
// is held for long, and only a few of the messages wait in the queue. A walk sends the
// messages that were there when the client subscribed and have not been replaced since.
// A successor was sent when it was published.

// walk is what remains to be done for one subscription. Another SUBSCRIBE for the
// same filter that asks for retained messages ends the walk and begins a new one.
type walk struct {
	hub    *hub
	whole  string // the filter as the client wrote it
	filter string
	target target // the copies, as the subscription was when it was made
	not    string // client identifier whose messages are left out; empty: none
	upTo   uint64 // the number of the last message that was there
	again  bool   // it replaces a walk that was under way
	over   atomic.Bool
	ended  *subscription // see subscription.owed

	// client.mu guards what follows.
	ready bool   // SUBACK has been sent
	next  string // the topic to continue with
	past  string // the last topic that the step under way has sent
	ahead map[*message]struct{}
	cost  int // memory of ahead
}

const (
	// walkAhead is how many messages may wait for a client before its walk pauses.
	walkAhead = 256
	// walkPending is the same limit in bytes to be written.
	walkPending = 64 << 10
	// aheadCost is the memory of the note that a message was sent early.
	aheadCost = 64
)

// newWalkLocked returns the walk of a subscription that is being made. Called with
// hub.mu held.
func (h *hub) newWalkLocked(s *subscription) *walk {
	w := &walk{hub: h, whole: s.whole, filter: s.filter, upTo: h.retained.last, target: s.retainedTarget()}
	if s.noLocal {
		w.not = s.client.id
	}
	h.walks.Add(1)
	return w
}

// retainedTarget returns the target for the retained messages of s.
func (s *subscription) retainedTarget() target {
	t := target{client: s.client, local: s.local, qos: s.qos, retain: true, stored: true}
	if s.id != 0 {
		t.ids = []uint32{s.id}
	}
	return t
}

// endLocked ends the walk. w may be nil. Called with hub.mu held.
func (w *walk) endLocked() {
	if w != nil && !w.over.Swap(true) {
		w.hub.walks.Add(-1)
	}
}

// wants reports whether the walk sends m.
func (w *walk) wants(m *message) bool { return m.number <= w.upTo && (w.not == "" || m.from != w.not) }

// stepLocked calls send for the next messages until send returns false or work is spent.
// It also returns the messages that have expired. Called with hub.mu held.
func (w *walk) stepLocked(from string, work *budget, now time.Time, send func(*message) bool) (next string, over bool, old []*message) {
	next, over = w.hub.retained.topics.walk(w.filter, from, work, func(m *message) bool {
		if m.expired(now) {
			old = append(old, m)
			return true
		}
		return !w.wants(m) || send(m)
	})
	return next, over, old
}

// beginLocked does the first step. The connection does the others. Called with hub.mu
// held for writing.
func (w *walk) beginLocked(work budget, now time.Time, send func(*message, *target)) {
	next, over, old := w.stepLocked("", &work, now, func(m *message) bool {
		send(m, &w.target)
		return true
	})
	w.hub.retained.removeAll(old)
	w.leaveLocked(next, over)
}

// leaveLocked notes where the walk continues.
func (w *walk) leaveLocked(next string, over bool) {
	cl := w.target.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if w.next = next; over {
		w.endLocked()
		cl.trimWalksLocked()
	}
}

// hasLocked reports whether the walk has yet to send m, which it wants.
func (w *walk) hasLocked(m *message) bool {
	_, is := w.ahead[m]
	topic := m.publish.Topic
	return !is && compareTopics(topic, w.next) >= 0 && (w.past == "" || compareTopics(topic, w.past) > 0)
}

// addWalkLocked adds a walk for the connection to continue.
func (cl *client) addWalkLocked(w *walk) {
	if cl.trimWalksLocked(); len(cl.walks) >= 2*max(cl.pruned, 8) {
		cl.pruneWalksLocked()
	}
	cl.walks = append(cl.walks, w)
}

// trimWalksLocked removes the first walks as long as they are over.
func (cl *client) trimWalksLocked() {
	for len(cl.walks) > 0 && cl.walks[0].over.Load() {
		cl.forgetWalkLocked(cl.walks[0])
		cl.walks[0] = nil
		cl.walks = cl.walks[1:]
	}
	if len(cl.walks) == 0 {
		cl.walks = nil
	}
}

// forgetWalkLocked gives back the memory of a walk that is over.
func (cl *client) forgetWalkLocked(w *walk) {
	cl.sessionCharge.memory.give(w.cost)
	w.ahead, w.cost = nil, 0
}

// pruneWalksLocked removes the walks that are over.
func (cl *client) pruneWalksLocked() {
	left := cl.walks[:0]
	for _, w := range cl.walks {
		if w.over.Load() {
			cl.forgetWalkLocked(w)
		} else {
			left = append(left, w)
		}
	}
	clear(cl.walks[len(left):])
	if cl.walks, cl.pruned = left, len(left); len(left) == 0 {
		cl.walks = nil
	}
}

// nextWalkLocked returns the walk to continue, or nil if none can continue now.
func (cl *client) nextWalkLocked() *walk {
	cl.trimWalksLocked()
	if len(cl.walks) == 0 || !cl.walks[0].ready || !cl.takesMoreLocked() {
		return nil
	}
	return cl.walks[0]
}

// takesMoreLocked reports whether few enough messages and bytes wait for the client.
func (cl *client) takesMoreLocked() bool {
	return cl.held.messages < walkAhead && cl.link.Pending() < walkPending
}

// continueWalks does a step for the connection, which then writes the result. It reports
// whether the caller should call it again at once.
func (h *hub) continueWalks(cl *client, c connection) (again bool) {
	if cl == nil || h.walks.Load() == 0 {
		return false
	}
	h.mu.RLock()
	cl.mu.Lock()
	var w *walk
	if cl.conn == c {
		w = cl.nextWalkLocked()
	}
	cl.mu.Unlock()
	if w == nil {
		h.mu.RUnlock()
		return false
	}
	old, over := w.goOnLocked(time.Now())
	h.mu.RUnlock()
	if over || len(old) > 0 {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.retained.removeAll(old)
		if over {
			h.finishWalkLocked(w)
		}
	}
	return true
}

// goOnLocked does a step. Called with hub.mu held, so that the session stays with its
// connection. Only that connection calls it.
func (w *walk) goOnLocked(now time.Time) (old []*message, over bool) {
	cl, work := w.target.client, step()
	t := &journal.Task{Keep: true}
	var copies []delivery
	next, over, old := w.stepLocked(w.next, &work, now, func(m *message) bool {
		copies = w.sendLocked(t, copies, m, now)
		cl.mu.Lock()
		defer cl.mu.Unlock()
		return cl.takesMoreLocked()
	})
	cl.mu.Lock()
	w.next, w.past = next, ""
	cl.mu.Unlock()
	if len(copies) > 0 {
		t.Done = func(error) {
			for i := range copies {
				w.hub.release(copies[i:i+1], time.Now())
			}
		}
		w.hub.persistence.Add(t)
	}
	return old, over
}

// sendLocked sends m, or adds it to copies, which are sent when the store has them.
func (w *walk) sendLocked(t *journal.Task, copies []delivery, m *message, now time.Time) []delivery {
	cl := w.target.client
	cl.mu.Lock()
	if _, sent := w.ahead[m]; sent || w.over.Load() {
		cl.mu.Unlock()
		return copies
	}
	w.past = m.publish.Topic
	var e *queueEntry
	stored := cl.durable.Load() && !w.target.atMostOnce(m)
	if stored {
		e = cl.reserveLocked(m, &w.target, now)
	} else if e = cl.queueLocked(m, &w.target, now); e != nil {
		cl.sendLocked(e, now)
	}
	cl.mu.Unlock()
	if !stored || e == nil {
		return copies
	}
	one := []delivery{{message: e.message, target: w.target, entry: e}}
	if w.hub.pack(t, e.message, one) != nil {
		giveUp(one) // has no encoding: as if too large for the client
		return copies
	}
	return append(copies, one...)
}

// finishWalkLocked ends a walk that has reached its end. Called with hub.mu held for
// writing.
func (h *hub) finishWalkLocked(w *walk) {
	w.endLocked()
	cl := w.target.client
	if s := cl.subscriptions[w.whole]; s != nil && s.walk == w {
		s.walk = nil
		h.changes.walkEndedLocked(cl, s)
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.trimWalksLocked()
}

// aheadLocked is called before m is sent to the client through t. If a walk has yet to
// send the former message of the same topic and QoS, that message is sent first, because
// it is older [MQTT-4.6.0-6], or added to copies if the store has to have it first. It
// returns false if there is no memory for the note that the message was sent.
func (cl *client) aheadLocked(copies []delivery, m *message, t *target, now time.Time) ([]delivery, bool) {
	before := t.before
	for _, w := range t.walks {
		qos := min(w.target.qos, before.publish.QoS)
		if w.over.Load() || qos != min(t.qos, m.publish.QoS) || !w.wants(before) || before.expired(now) || !w.hasLocked(before) {
			continue
		}
		if !cl.sessionCharge.memory.take(aheadCost) {
			return copies, false
		}
		w.cost += aheadCost
		if w.ahead == nil {
			w.ahead = make(map[*message]struct{})
		}
		w.ahead[before] = struct{}{}
		if qos > wire.AtMostOnce && cl.durable.Load() {
			if e := cl.reserveLocked(before, &w.target, now); e != nil {
				copies = append(copies, delivery{message: e.message, target: w.target, entry: e})
			}
		} else if e := cl.queueLocked(before, &w.target, now); e != nil {
			cl.sendLocked(e, now)
		}
	}
	return copies, true
}

// startWalks says that SUBACK has been sent.
func (cl *client) startWalks() {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	for i := len(cl.walks) - 1; i >= 0 && !cl.walks[i].ready; i-- { // those before are ready
		cl.walks[i].ready = true
	}
}
