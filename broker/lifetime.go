package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// alarm wakes an absent client's session when its will or its end is due. It is
// guarded by client.mu.
type alarm struct {
	timer *time.Timer // nil: none is set
	will  time.Time   // zero: nothing to publish
	end   time.Time   // zero: never
}

// mayResume reports whether a client that may have the session can go on with it. One
// that has just expired is over, even if its alarm is late.
func (cl *client) mayResume(now time.Time) bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	// [MQTT-3.1.2-6] of 3.1.1: a session for one connection ends with it, and being
	// taken over is an end.
	return cl.expiry > 0 && !passed(cl.alarm.end, now)
}

// tooMany returns the reason for a limit of ours, for which older versions have
// none of its own.
func tooMany(v wire.Version) wire.ReasonCode {
	if v < wire.V5 {
		return wire.ServerUnavailable
	}
	return wire.QuotaExceeded
}

// displace ends the connection of cl, if it has one, in favour of a new one. The
// will is due unless the session goes on and the will has a delay.
// [MQTT-3.1.3-9]
func (b *Broker) displace(cl *client, resumed bool, due *[]*will, now time.Time) (left *conn) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	isDue := cl.willIsDue(resumed, now)
	b.cancelAlarm(cl)
	if cl.conn != nil {
		left = cl.close(ending{reason: wire.SessionTakenOver, tell: true})
		b.doors.leave(left)
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

// leave ends c and starts what follows for its session. It reports whether c
// still had one.
func (b *Broker) leave(c *conn, e ending) bool {
	now := time.Now()
	b.mu.Lock()
	cl := c.client
	if cl == nil {
		b.mu.Unlock()
		c.net.Close() // in the middle of the handshake
		return false
	}
	cl.mu.Lock()
	attached := cl.conn == c
	var due *will
	if attached {
		cl.close(e)
		b.doors.leave(c)
		goodbye := cl.will != nil && !e.will
		if !e.will || b.closed && !cl.durable.Load() {
			// [MQTT-3.14.4-3]
			cl.will = nil
		}
		due = b.away(cl, now)
		if goodbye && cl.saved {
			// At once, or a crash in the next moment would publish the will.
			b.persistence.Signal()
		}
	}
	cl.mu.Unlock()
	b.mu.Unlock()

	c.hurry()
	if due != nil {
		due.publish(b, now)
	}
	return attached
}

// away decides what becomes of the session of a client that has just gone. It
// returns the will if that is due.
func (b *Broker) away(cl *client, now time.Time) (due *will) {
	due = cl.will
	// [MQTT-3.1.2-8] the will waits for its delay or the end of the session, and that
	// of a session in the store for the next start if the broker is closed.
	if due != nil && (due.delay > 0 || b.closed) && cl.expiry > 0 {
		due = nil
	} else {
		due = cl.takeWill()
	}
	if cl.expiry == 0 {
		b.forget(cl)
		return due
	}
	cl.recountOpenLocked()
	cl.resize(costOfSession(cl.seen.peer, cl.will))
	cl.saveLater()
	b.setAlarm(cl, now, now)
	return due
}

// setAlarm starts the clock of a client that is absent since then.
func (b *Broker) setAlarm(cl *client, since, now time.Time) {
	cl.alarm = alarm{}
	if cl.expiry != forever {
		cl.alarm.end = since.Add(time.Duration(cl.expiry) * time.Second)
	}
	if cl.will != nil {
		cl.alarm.will = since.Add(cl.will.delay)
	}
	b.startAlarm(cl, now)
}

// passed reports whether a time of an alarm has come. Zero never does.
func passed(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// next returns when something is due; zero: never.
func (a *alarm) next() time.Time {
	if w := a.will; !w.IsZero() && (a.end.IsZero() || w.Before(a.end)) {
		return w
	}
	return a.end
}

func (b *Broker) startAlarm(cl *client, now time.Time) {
	next := cl.alarm.next()
	if next.IsZero() || b.closed {
		return
	}
	cl.alarm.timer = b.after(next.Sub(now), func() { b.ring(cl) })
}

func (b *Broker) cancelAlarm(cl *client) {
	b.stop(cl.alarm.timer)
	cl.alarm = alarm{}
}

// ring does what is due for an absent client.
func (b *Broker) ring(cl *client) {
	now := time.Now()
	b.mu.Lock()
	cl.mu.Lock()
	var due *will
	// A timer that was stopped too late finds no alarm, or one of a later absence,
	// which has a timer of its own.
	if cl.alarm.timer != nil && !now.Before(cl.alarm.next()) && !b.closed {
		ended := !cl.alarm.end.IsZero() && !now.Before(cl.alarm.end)
		if cl.will != nil && (ended || !now.Before(cl.alarm.will)) {
			due = cl.takeWill()
			cl.alarm.will = time.Time{}
			cl.resize(costOfSession(cl.seen.peer, nil))
		}
		cl.alarm.timer = nil
		if ended {
			// [MQTT-4.1.0-2] the session is over.
			b.forget(cl)
		} else {
			b.startAlarm(cl, now)
		}
	}
	cl.mu.Unlock()
	b.mu.Unlock()
	if due != nil {
		due.publish(b, now)
	}
}

// forget drops the session of cl; Broker.mu and cl.mu are held. What other members of
// its shared subscriptions have to do instead goes to them.
func (b *Broker) forget(cl *client) {
	if cl.gone {
		return
	}
	for _, s := range cl.subscriptions {
		b.removeSubscription(s)
		b.changes.filterChanges(cl, s.whole)
	}
	cl.gone = true
	left := cl.undeliveredShared(&b.counts)
	if cl.saved {
		cl.erase()
	}
	cl.dropQueue()
	cl.pruneWalksLocked()
	cl.filters.clear()
	cl.receiver.Forget()
	cl.recountOpenLocked()
	cl.stake.end()
	if b.clients[cl.id] == cl {
		delete(b.clients, cl.id)
	}
	b.passOnNow(left)
}
