package broker

import "time"

// alarm wakes an absent client's session when its will or its end is due. It is
// guarded by client.mu.
type alarm struct {
	timer *time.Timer // nil: none is set
	will  time.Time   // zero: nothing to publish
	end   time.Time   // zero: never
}

// setAlarmLocked sets the alarm of a client that has been absent since then.
func (h *hub) setAlarmLocked(cl *client, since, now time.Time) {
	cl.alarm = alarm{}
	if cl.expiry != forever {
		cl.alarm.end = since.Add(time.Duration(cl.expiry) * time.Second)
	}
	if cl.will != nil {
		cl.alarm.will = since.Add(cl.will.delay)
	}
	h.startAlarmLocked(cl, now)
}

// passed reports whether time t has come. The zero time never has.
func passed(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// next returns when something is due; zero: never.
func (a *alarm) next() time.Time {
	if w := a.will; !w.IsZero() && (a.end.IsZero() || w.Before(a.end)) {
		return w
	}
	return a.end
}

func (h *hub) startAlarmLocked(cl *client, now time.Time) {
	next := cl.alarm.next()
	if next.IsZero() || h.closed {
		return
	}
	cl.alarm.timer = h.afterLocked(next.Sub(now), func() { h.alarmFired(cl) })
}

func (h *hub) cancelAlarmLocked(cl *client) {
	h.stopTimer(cl.alarm.timer)
	cl.alarm = alarm{}
}

// alarmFired publishes the will or ends the session of an absent client, whichever is
// due.
func (h *hub) alarmFired(cl *client) {
	now := time.Now()
	h.mu.Lock()
	cl.mu.Lock()
	var due *will
	// A timer that was stopped too late finds no alarm, or the alarm of a later
	// absence, which has a timer of its own.
	if cl.alarm.timer != nil && !now.Before(cl.alarm.next()) && !h.closed {
		ended := !cl.alarm.end.IsZero() && !now.Before(cl.alarm.end)
		if cl.will != nil && (ended || !now.Before(cl.alarm.will)) {
			due = cl.takeWillLocked()
			cl.alarm.will = time.Time{}
			cl.resize(costOfSession(cl.seen.peer, nil))
		}
		cl.alarm.timer = nil
		if ended {
			// [MQTT-4.1.0-2] the session is over.
			h.endSessionLocked(cl)
		} else {
			h.startAlarmLocked(cl, now)
		}
	}
	cl.mu.Unlock()
	h.mu.Unlock()
	if due != nil {
		due.publish(h, now)
	}
}
