package durable

import (
	"cmp"
	"maps"
	"slices"
	"time"
	"weak"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// The engine gets a window of the messages that wait; the others are only in the Store.
// So memory does not grow with the queue.
const (
	windowBytes = 4 << 20

	// heldFactor is how much larger the window is while messages wait because of a
	// refusal, so that others can pass them.
	heldFactor = 8
)

// WindowMessages bounds the number of messages in the engine. It is a variable so that
// tests need not publish thousands.
var WindowMessages = 1024

// window returns how much of the line the engine may have.
func (j *Journal) window() (messages, bytes int) {
	if j.client.Sender.Holding() {
		return heldFactor * WindowMessages, heldFactor * windowBytes
	}
	return WindowMessages, windowBytes
}

// line is the messages that are in the Store and not in the engine. They follow all that
// are in the engine.
type line struct {
	messages, bytes int
	next            uint64 // the smallest number that a message of the line can have
	last            uint64 // the largest
	reading         bool
	// owned are the messages that somebody may wait for, by number. What they say is in
	// the Store, and those for whom nobody holds the message any more do not wait.
	owned map[uint64]owned
	sweep int // how many of them may be there before those are looked for
	// gone are those that were withdrawn, until a Commit has removed them.
	gone        map[uint64]bool
	unstored    []unstored // in their order
	held        int        // bytes of unstored
	unstoredDue time.Time  // none of them has waited long enough before; zero: none ever has
	dues        dues
}

type owned struct {
	out  weak.Pointer[session.Outgoing]
	size int
}

// sweepLeast is the smallest number of messages for which that is worth while.
const sweepLeast = 1024

func (l *line) empty() bool { return l.messages == 0 && len(l.unstored) == 0 }

func (l *line) size() (messages, bytes int) { return l.messages + len(l.unstored), l.bytes + l.held }

// windowOpen reports whether the engine takes more messages.
func (j *Journal) windowOpen() bool {
	messages, bytes := j.client.Sender.Queued()
	mostMessages, mostBytes := j.window()
	return messages < mostMessages && (messages == 0 || bytes < mostBytes)
}

// push adds a recorded message behind all others.
func (l *line) push(o *session.Outgoing, size int) {
	l.add(o.Seq(), size)
	l.own(o, size)
	o.Publish.Payload, o.Publish.Properties = nil, nil // the Store has them
}

// add counts a message of the Store.
func (l *line) add(number uint64, size int) {
	if l.messages == 0 {
		l.next = number
	}
	l.messages++
	l.bytes += size
	l.last = number
}

// own notes who waits for a message.
func (l *line) own(o *session.Outgoing, size int) {
	if l.owned == nil {
		l.owned, l.sweep = make(map[uint64]owned), sweepLeast
	}
	if len(l.owned) >= l.sweep {
		maps.DeleteFunc(l.owned, func(_ uint64, own owned) bool { return own.out.Value() == nil })
		l.sweep = max(sweepLeast, 2*len(l.owned))
	}
	l.owned[o.Seq()] = owned{weak.Make(o), size}
}

// disown returns the message with that number, and forgets who waits for it; nil: nobody
// does.
func (l *line) disown(number uint64) *session.Outgoing {
	own, ok := l.owned[number]
	if !ok {
		return nil
	}
	delete(l.owned, number)
	return own.out.Value()
}

// withdraw takes o out of the line. It returns false if it is not there.
func (l *line) withdraw(j *Journal, o *session.Outgoing) bool {
	i, found := slices.BinarySearchFunc(l.unstored, o.Seq(), func(u unstored, number uint64) int {
		return cmp.Compare(u.out.Seq(), number)
	})
	if found && l.unstored[i].out == o {
		l.held -= l.unstored[i].size
		j.lossy.count(o, l.unstored[i].size, -1)
		l.unstored = slices.Delete(l.unstored, i, i+1)
		j.client.Sender.GiveUp(o)
		return true
	}
	own := l.owned[o.Seq()]
	if own.out.Value() != o {
		return false
	}
	delete(l.owned, o.Seq())
	l.take(own.size)
	if l.gone == nil {
		l.gone = make(map[uint64]bool)
	}
	l.gone[o.Seq()] = true
	j.note(remove(numberKey(keyMessage, o.Seq())))
	j.client.Sender.GiveUp(o)
	return true
}

// take counts a message that leaves the line.
func (l *line) take(size int) {
	l.messages--
	l.bytes = max(l.bytes-size, 0)
	if l.messages == 0 {
		l.bytes = 0
	}
}

// Hungry reports whether the engine takes more of the line. When the last recorded message
// has left it, the others follow.
func (j *Journal) Hungry() bool {
	l := &j.line
	messages, bytes := j.client.Sender.Queued()
	mostMessages, mostBytes := j.window()
	return !l.empty() && !l.reading && messages <= mostMessages/2 && bytes <= mostBytes/2
}

// Moving reports whether messages are on their way to the engine.
func (j *Journal) Moving() bool {
	return len(j.accepted) > 0 || len(j.taken) > 0 || j.line.reading || j.Hungry()
}

// NextBlock returns what is to be read next; nil: nothing is. Read and Refill have to
// follow.
func (j *Journal) NextBlock() *Block {
	if !j.Hungry() {
		return nil
	}
	l := &j.line
	l.reading = true
	return &Block{from: l.next, last: l.last}
}

// Refill gives the messages of b to the engine. It returns an error if the Store could
// not be read: the messages stay in line.
func (j *Journal) Refill(b *Block, now time.Time) error {
	l := &j.line
	l.reading = false
	if b.err != nil {
		return b.err
	}
	if len(b.expired) > 0 {
		j.expire(b)
		return nil
	}
	for i := range b.found {
		f := &b.found[i]
		l.next = f.number + 1
		if l.gone[f.number] {
			delete(l.gone, f.number)
			continue
		}
		j.submitUnstored(f.number, now)
		if f.damaged.Key != nil {
			j.refuseDamaged(f)
			continue
		}
		l.take(f.size)
		o := j.leaveLine(f.number)
		o.Publish, o.Expires, o.Durable = f.message.publish, session.ExpiresAt(f.message.expires), true
		j.client.Sender.SubmitLater(o, f.number)
		j.client.Sender.Submit(o, now)
		j.limitWait(o, f.message.accepted)
	}
	if len(b.found) == 0 { // what was counted is not there: it cannot be waited for
		l.messages, l.bytes = 0, 0
	}
	maps.DeleteFunc(l.gone, func(number uint64, _ bool) bool { return number < l.next })
	if l.messages == 0 {
		j.submitUnstored(^uint64(0), now)
	}
	return nil
}

// refuseDamaged sets aside a record that cannot be read any more.
func (j *Journal) refuseDamaged(f *lined) {
	size := j.line.owned[f.number].size
	o := j.line.disown(f.number)
	j.line.take(size)
	j.setAside(f.damaged)
	if o != nil {
		j.client.Sender.Refuse(o, errDamaged)
	}
}

// leaveLine returns the message of a record that leaves the line.
func (j *Journal) leaveLine(number uint64) *session.Outgoing {
	if o := j.line.disown(number); o != nil {
		return o
	}
	return j.owner.New()
}

// FailLine completes with err what waits outside the engine: recorded messages with kept,
// because they stay in the Store. It is for the end of the client.
func (j *Journal) FailLine(err, kept error) {
	l := &j.line
	for _, u := range l.unstored {
		j.lossy.count(u.out, u.size, -1)
		if u.out.Durable { // by Keep
			j.client.Sender.Refuse(u.out, kept)
			continue
		}
		j.client.Sender.Refuse(u.out, err)
	}
	for _, own := range l.owned {
		if o := own.out.Value(); o != nil {
			j.client.Sender.Refuse(o, kept)
		}
	}
	for _, e := range j.accepted {
		j.lossy.count(e.Out, e.size, -1)
		j.client.Sender.Refuse(e.Out, err)
	}
	j.accepted, j.acceptedBytes, j.line = nil, 0, line{}
}

// LineBegin returns the smallest number that a message outside the engine can have, but at
// most most.
func (j *Journal) LineBegin(most uint64) uint64 {
	if j.line.messages == 0 {
		return most
	}
	return min(j.line.next, most)
}

// Look returns a Block that only looks at the line from a number up to last.
func (j *Journal) Look(from, last uint64) *Block { return &Block{from: from, last: last} }

// Own returns the message of the line with that number, whose content p says; nil: it is
// not in line any more.
func (j *Journal) Own(number uint64, p *wire.Publish) *session.Outgoing {
	l := &j.line
	if number < l.next || number > l.last || l.messages == 0 || l.gone[number] {
		return nil
	}
	if o := l.owned[number].out.Value(); o != nil {
		return o
	}
	o := j.owner.New()
	j.client.Sender.SubmitLater(o, number)
	l.own(o, p.Cost())
	return o
}
