package mqtt

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// alarm wakes the engine when a message may not wait any longer to be sent, with or
// without a connection. It is guarded by engine.mu.
type alarm struct {
	timer *time.Timer // nil until it is needed
	at    time.Time   // when it rings; zero: it does not
}

// setAlarmLocked has the alarm ring at the engine's deadline or before. An alarm that is too
// early is left as it is: the first message of a queue that moves changes often.
func (e *engine) setAlarmLocked(at time.Time) {
	a := &e.alarm
	if at.IsZero() || e.ended != nil || !a.at.IsZero() && !at.Before(a.at) {
		return
	}
	a.at = at
	if a.timer == nil {
		a.timer = time.AfterFunc(time.Until(at), e.ring)
		return
	}
	a.timer.Reset(time.Until(at))
}

// deadlineLocked returns when the next message has waited long enough; zero: never.
func (e *engine) deadlineLocked() time.Time {
	at := e.Sender.Deadline()
	if e.keeper != nil {
		if other := e.keeper.journal.UnstoredDue(); at.IsZero() || !other.IsZero() && other.Before(at) {
			at = other
		}
	}
	return at
}

// ring drops what has expired, and sends what was behind it.
func (e *engine) ring() {
	e.do(func(*session.Client) {
		e.alarm.at = time.Time{}
		now := time.Now()
		e.Sender.DropExpired(now)
		if e.keeper != nil {
			e.keeper.journal.DropUnstored(now)
		}
		e.Sender.Pump(now)
	})
}

// stopAlarmLocked is for the end of the client.
func (e *engine) stopAlarmLocked() {
	if e.alarm.timer != nil {
		e.alarm.timer.Stop()
	}
}
