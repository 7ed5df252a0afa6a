package durable

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// unstored is a message that is not recorded and keeps its place behind those of the line
// that are: one at QoS 0, or one that is not to be stored.
type unstored struct {
	out  *session.Outgoing
	size int
	due  time.Time // when it has waited long enough; zero: never
}

// pushUnstored adds a message behind all others.
func (j *Journal) pushUnstored(e *Entry) {
	l := &j.line
	due := j.waitsUntil(e)
	l.unstored = append(l.unstored, unstored{e.Out, e.size, due})
	l.held += e.size
	j.lossy.count(e.Out, e.size, 1)
	l.unstoredDue = earlier(l.unstoredDue, due)
}

// waitsUntil returns when a message that is not in the line yet has waited long enough.
func (j *Journal) waitsUntil(e *Entry) time.Time {
	if age := j.age(e.Out); age > 0 && !e.accepted.IsZero() {
		return earlier(e.Out.Expiry(), e.accepted.Add(age))
	}
	return e.Out.Expiry()
}

func (j *Journal) age(o *session.Outgoing) time.Duration {
	if o.Publish.QoS == wire.AtMostOnce {
		return j.owner.AgeAtMostOnce
	}
	return j.owner.Age
}

// UnstoredDue returns when DropUnstored is to be called; zero means never. It may be too
// early, because the first may have left.
func (j *Journal) UnstoredDue() time.Time { return j.line.unstoredDue }

// DropUnstored ends the messages of the line that are not recorded and have waited long
// enough.
func (j *Journal) DropUnstored(now time.Time) {
	l := &j.line
	if l.unstoredDue.IsZero() || now.Before(l.unstoredDue) {
		return
	}
	l.unstoredDue = time.Time{}
	l.unstored = slices.DeleteFunc(l.unstored, func(u unstored) bool {
		if u.due.IsZero() || now.Before(u.due) {
			l.unstoredDue = earlier(l.unstoredDue, u.due)
			return false
		}
		l.held -= u.size
		j.lossy.count(u.out, u.size, -1)
		j.client.Sender.Refuse(u.out, session.ErrExpired)
		return true
	})
}

// submitUnstored submits the messages before number that are not recorded.
func (j *Journal) submitUnstored(number uint64, now time.Time) {
	l := &j.line
	for len(l.unstored) > 0 && l.unstored[0].out.Seq() < number {
		u := l.unstored[0]
		l.unstored[0] = unstored{}
		l.unstored = l.unstored[1:]
		l.held -= u.size
		j.lossy.count(u.out, u.size, -1)
		j.client.Sender.Submit(u.out, now)
		if !u.due.IsZero() {
			j.client.Sender.WaitUntil(u.out, u.due)
		}
	}
}

// lossy counts the messages at QoS 0 that the engine does not have: each publish asks.
type lossy struct{ messages, bytes int }

// count counts o if it is one of them.
func (l *lossy) count(o *session.Outgoing, size, by int) {
	if o.Publish.QoS == wire.AtMostOnce {
		l.messages += by
		l.bytes += by * size
	}
}

// WaitingAtMostOnce returns how many of the messages that the engine does not have are at
// QoS 0, and their size in bytes.
func (j *Journal) WaitingAtMostOnce() (messages, bytes int) { return j.lossy.messages, j.lossy.bytes }

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
