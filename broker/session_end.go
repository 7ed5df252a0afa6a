package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// mayResume reports whether the session can be resumed by a client that may have it.
// An expired session is over, even if its alarm is late.
func (cl *client) mayResume(now time.Time) bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	// [MQTT-3.1.2-6] of 3.1.1: a session for one connection ends with it, also when
	// another connection takes over.
	return cl.expiry > 0 && !passed(cl.alarm.end, now)
}

// displaceLocked ends the connection of cl, if it has one, in favour of a new one. It
// adds the will to due unless the session is resumed and the will has a delay.
// [MQTT-3.1.3-9]
func (h *hub) displaceLocked(cl *client, resumed bool, due *[]*will, now time.Time) (left connection) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	isDue := cl.willIsDueLocked(resumed, now)
	h.cancelAlarmLocked(cl)
	if cl.conn != nil {
		left = cl.closeLocked(ending{reason: wire.SessionTakenOver, tell: true})
	}
	if isDue {
		*due = append(*due, cl.takeWillLocked())
	}
	cl.will = nil
	return left
}

// willIsDueLocked reports whether another connection makes the will due. Called with
// client.mu held.
func (cl *client) willIsDueLocked(resumed bool, now time.Time) bool {
	return cl.will != nil && (!resumed || passed(cl.alarm.will, now) || cl.conn != nil && cl.will.delay == 0)
}

// leave takes the session of cl away from c and decides whether the session stays. It
// returns the will if that is due, and whether c still had the session.
func (h *hub) leave(cl *client, c connection, e ending, now time.Time) (left bool, due *will) {
	h.mu.Lock()
	defer h.mu.Unlock()
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return false, nil
	}
	cl.closeLocked(e)
	goodbye := cl.will != nil && !e.will
	if !e.will || h.closed && !cl.durable.Load() {
		// [MQTT-3.14.4-3]
		cl.will = nil
	}
	due = h.afterDetachLocked(cl, now)
	if goodbye && cl.saved {
		// The store is told at once. Otherwise a crash in the next moment would
		// publish the will.
		h.persistence.Signal()
	}
	return true, due
}

// afterDetachLocked decides whether the session of a client that has just disconnected
// stays. It returns the will if that is due.
func (h *hub) afterDetachLocked(cl *client, now time.Time) (due *will) {
	due = cl.will
	// [MQTT-3.1.2-8] the will waits for its delay or the end of the session, and that
	// of a session in the store for the next start if the broker is closed.
	if due != nil && (due.delay > 0 || h.closed) && cl.expiry > 0 {
		due = nil
	} else {
		due = cl.takeWillLocked()
	}
	if cl.expiry == 0 {
		h.endSessionLocked(cl)
		return due
	}
	cl.recountOpenLocked()
	cl.resize(costOfSession(cl.seen.peer, cl.will))
	cl.saveLaterLocked()
	h.setAlarmLocked(cl, now, now)
	return due
}

// endSessionLocked ends the session of cl. Messages of its shared subscriptions go to
// other members. Called with hub.mu and client.mu held.
func (h *hub) endSessionLocked(cl *client) {
	if cl.gone {
		return
	}
	for _, s := range cl.subscriptions {
		h.removeRouteLocked(s)
		h.changes.filterChangesLocked(cl, s.whole)
	}
	cl.gone = true
	left := cl.undeliveredSharedLocked(&h.counts)
	if cl.saved {
		cl.eraseLocked()
	}
	cl.dropQueueLocked()
	cl.pruneWalksLocked()
	cl.filters.clear()
	cl.receiver.Forget()
	cl.recountOpenLocked()
	cl.sessionCharge.end()
	if h.clients[cl.id] == cl {
		delete(h.clients, cl.id)
	}
	h.passOnNowLocked(left)
}

// breakOff ends the connection of peer, if peer is still connected.
func (h *hub) breakOff(peer *Peer) {
	cl := h.client(peer.ClientID)
	if cl == nil {
		return
	}
	cl.mu.Lock()
	c := cl.conn
	if cl.seen.peer != peer {
		c = nil
	}
	cl.mu.Unlock()
	if c != nil {
		c.fail(&refusal{code: wire.ImplementationSpecificError, text: brokenText})
	}
}
