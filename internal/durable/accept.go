package durable

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// Entry is a message on its way to the engine.
type Entry struct {
	Out *session.Outgoing
	// Done is called when the message is recorded, or err says why it is not. It is
	// called under the lock. If nil, there is nobody to tell.
	Done func(err error)

	stored   bool // it has a record
	size     int
	accepted time.Time
	err      error
}

// Behind reports whether messages wait that have to be submitted before others.
func (j *Journal) Behind() bool { return len(j.accepted) > 0 || len(j.taken) > 0 || !j.line.empty() }

// Waiting returns how many messages wait that the engine does not have, and their size in
// bytes.
func (j *Journal) Waiting() (messages, bytes int) {
	messages, bytes = j.line.size()
	return messages + len(j.taken) + len(j.accepted), bytes + j.takenBytes + j.acceptedBytes
}

// Accept takes over a message. record is that of [EncodeMessage]; if nil, the message is
// not recorded and only keeps its place.
func (j *Journal) Accept(e *Entry, record []byte, now time.Time) {
	o := e.Out
	e.size, e.accepted = o.Publish.Cost(), now
	o.Durable, e.stored = record != nil, record != nil
	j.client.Sender.ReserveNumber(o, o.Durable && j.line.empty() && !j.lastWithoutIdentifier())
	if o.Durable {
		j.changes = append(j.changes, change{put(numberKey(keyMessage, o.Seq()), record), e})
		if id := o.Publish.PacketID; id != 0 {
			j.changes = append(j.changes, change{put(numberKey(keyExchange, o.Seq()), exchange{id: id}.encode()), e})
		}
	}
	j.accepted = append(j.accepted, e)
	j.acceptedBytes += e.size
	j.lossy.count(o, e.size, 1)
}

// lastWithoutIdentifier reports whether the last message on its way has no packet
// identifier. A later one must not have one: after a crash messages with identifiers go
// first.
func (j *Journal) lastWithoutIdentifier() bool {
	for _, list := range [...][]*Entry{j.accepted, j.taken} {
		for _, e := range slices.Backward(list) {
			if e.Out.Durable {
				return e.Out.Publish.PacketID == 0
			}
		}
	}
	return false
}

// Withdraw takes back a message that the engine has not got. It returns false if it is
// too late: the message has gone to the engine, or is being recorded.
func (j *Journal) Withdraw(e *Entry) bool {
	for i, a := range j.accepted {
		if a == e {
			j.accepted = slices.Delete(j.accepted, i, i+1)
			j.acceptedBytes -= e.size
			j.lossy.count(e.Out, e.size, -1)
			j.forget(e)
			j.client.Sender.GiveUp(e.Out)
			return true
		}
	}
	return j.line.withdraw(j, e.Out)
}

// forget drops the changes of e.
func (j *Journal) forget(e *Entry) {
	kept := j.changes[:0]
	for _, c := range j.changes {
		if c.entry != e {
			kept = append(kept, c)
		}
	}
	clear(j.changes[len(kept):])
	j.changes = kept
}

// settle hands over or refuses messages, in their order.
func (j *Journal) settle(entries []*Entry, now time.Time) {
	for _, e := range entries {
		j.lossy.count(e.Out, e.size, -1)
		switch {
		case e.err != nil:
			j.client.Sender.Refuse(e.Out, e.err)
		case j.line.empty() && (j.windowOpen() || !e.Out.Durable):
			j.client.Sender.Submit(e.Out, now)
			j.limitWait(e.Out, e.accepted)
		case !e.Out.Durable:
			j.pushUnstored(e)
		default:
			j.line.push(e.Out, e.size)
			j.awaitDue(e.Out.Seq(), &message{expires: e.Out.Expiry(), accepted: e.accepted})
		}
		if e.Done != nil {
			e.Done(e.err)
		}
	}
}

// limitWait limits how long o may wait that was accepted at that time.
func (j *Journal) limitWait(o *session.Outgoing, accepted time.Time) {
	if age := j.age(o); age > 0 && !accepted.IsZero() {
		j.client.Sender.WaitUntil(o, accepted.Add(age))
	}
}

// Keep records the messages that were not recorded and are not completed, so that a later
// process sends them. wanted reports which of them it may.
func (j *Journal) Keep(wanted func(*session.Outgoing) bool, now time.Time) {
	for _, o := range j.client.Sender.Incomplete(nil) {
		j.keep(o, wanted, now)
	}
	for _, u := range j.line.unstored {
		j.keep(u.out, wanted, now)
	}
}

func (j *Journal) keep(o *session.Outgoing, wanted func(*session.Outgoing) bool, now time.Time) {
	if o.Durable || o.Publish.QoS == 0 || o.Owner == nil || !wanted(o) {
		return
	}
	record, err := EncodeMessage(&o.Publish, o.Expiry(), now)
	if err != nil {
		return // a message that cannot be sent
	}
	if id, known := j.unstored[o]; known {
		delete(j.unstored, o)
		j.note(remove(identifierKey(id)))
	}
	o.Durable = true
	j.note(put(numberKey(keyMessage, o.Seq()), record))
	if o.Publish.PacketID != 0 || o.Sent() {
		j.Exchange(o)
	}
}
