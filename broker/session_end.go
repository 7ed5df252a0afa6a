package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// mayResume reports whether a client that may have the session can go on with it. One
// that has just expired is over, even if its alarm is late.
func (cl *client) mayResume(now time.Time) bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	// [MQTT-3.1.2-6] of 3.1.1: a session for one connection ends with it, and being
	// taken over is an end.
	return cl.expiry > 0 && !passed(cl.alarm.end, now)
}

// displace ends the connection of cl, if it has one, in favour of a new one. The
// will is due unless the session goes on and the will has a delay.
// [MQTT-3.1.3-9]
func (h *hub) displace(cl *client, resumed bool, due *[]*will, now time.Time) (left connection) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	isDue := cl.willIsDue(resumed, now)
	h.cancelAlarm(cl)
	if cl.conn != nil {
		left = cl.close(ending{reason: wire.SessionTakenOver, tell: true})
	}
	if isDue {
		*due = append(*due, cl.takeWill())
	}
	cl.will = nil
	return left
}

// willIsDue reports whether another connection makes the will due; cl.mu is held.
func (cl *client) willIsDue(resumed bool, now time.Time) bool {
	return cl.will != nil && (!resumed || passed(cl.alarm.will, now) || cl.conn != nil && cl.will.delay == 0)
}

// leave takes the session of cl away from c, and decides what becomes of it. It returns
// the will if that is due, and whether c still had the session.
func (h *hub) leave(cl *client, c connection, e ending, now time.Time) (left bool, due *will) {
	h.mu.Lock()
	defer h.mu.Unlock()
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return false, nil
	}
	cl.close(e)
	goodbye := cl.will != nil && !e.will
	if !e.will || h.closed && !cl.durable.Load() {
		// [MQTT-3.14.4-3]
		cl.will = nil
	}
	due = h.away(cl, now)
	if goodbye && cl.saved {
		// At once, or a crash in the next moment would publish the will.
		h.persistence.Signal()
	}
	return true, due
}

// away decides what becomes of the session of a client that has just gone. It
// returns the will if that is due.
func (h *hub) away(cl *client, now time.Time) (due *will) {
	due = cl.will
	// [MQTT-3.1.2-8] the will waits for its delay or the end of the session, and that
	// of a session in the store for the next start if the broker is closed.
	if due != nil && (due.delay > 0 || h.closed) && cl.expiry > 0 {
		due = nil
	} else {
		due = cl.takeWill()
	}
	if cl.expiry == 0 {
		h.forget(cl)
		return due
	}
	cl.recountOpenLocked()
	cl.resize(costOfSession(cl.seen.peer, cl.will))
	cl.saveLater()
	h.setAlarm(cl, now, now)
	return due
}

// forget drops the session of cl; Broker.mu and cl.mu are held. What other members of
// its shared subscriptions have to do instead goes to them.
func (h *hub) forget(cl *client) {
	if cl.gone {
		return
	}
	for _, s := range cl.subscriptions {
		h.removeSubscription(s)
		h.changes.filterChanges(cl, s.whole)
	}
	cl.gone = true
	left := cl.undeliveredShared(&h.counts)
	if cl.saved {
		cl.erase()
	}
	cl.dropQueue()
	cl.pruneWalksLocked()
	cl.filters.clear()
	cl.receiver.Forget()
	cl.recountOpenLocked()
	cl.stake.end()
	if h.clients[cl.id] == cl {
		delete(h.clients, cl.id)
	}
	h.passOnNow(left)
}

// breakOff ends the connection of peer, if it still has it.
func (h *hub) breakOff(peer *Peer) {
	h.mu.RLock()
	cl := h.clients[peer.ClientID]
	h.mu.RUnlock()
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
