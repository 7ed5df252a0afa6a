package durable

import (
	"maps"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
)

// The engine gets a window of the messages that wait; the others are only in the Store.
// So memory does not grow with the queue.
const (
	windowMessages = 1024
	windowBytes    = 4 << 20
)

// line is the messages that are in the Store and not in the engine. They follow all that
// are in the engine.
type line struct {
	messages, bytes int
	next            uint64 // the smallest number that a message of the line can have
	last            uint64 // the largest
	reading         bool
	// owned are the messages that somebody waits for, by number. What they say is in the
	// Store.
	owned map[uint64]owned
	// gone are those that were withdrawn, until a Commit has removed them.
	gone map[uint64]bool
	// unstored are messages that are not recorded and have to keep their place.
	unstored []*session.Outgoing
	held     int // bytes of unstored
}

type owned struct {
	out  *session.Outgoing
	size int
}

func (l *line) empty() bool { return l.messages == 0 && len(l.unstored) == 0 }

func (l *line) size() (messages, bytes int) { return l.messages + len(l.unstored), l.bytes + l.held }

// windowOpen reports whether the engine takes more messages.
func (j *Journal) windowOpen() bool {
	messages, bytes := j.client.Sender.Queued()
	return messages < windowMessages && (messages == 0 || bytes < windowBytes)
}

// push adds a message behind all others.
func (l *line) push(o *session.Outgoing, size int) {
	if !o.Durable {
		l.unstored = append(l.unstored, o)
		l.held += size
		return
	}
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
		l.owned = make(map[uint64]owned)
	}
	l.owned[o.Seq()] = owned{o, size}
}

// withdraw takes o out of the line. It returns false if it is not there.
func (l *line) withdraw(j *Journal, o *session.Outgoing) bool {
	for i, u := range l.unstored {
		if u == o {
			l.unstored = append(l.unstored[:i:i], l.unstored[i+1:]...)
			l.held -= o.Publish.Cost()
			j.client.Sender.GiveUp(o)
			return true
		}
	}
	own := l.owned[o.Seq()]
	if own.out != o {
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

// Block is a part of the line that is read.
type Block struct {
	from  uint64
	last  uint64
	found []lined
	err   error
}

type lined struct {
	number  uint64
	size    int
	message message
	damaged store.Record
}

// Hungry reports whether the engine takes more of the line.
func (j *Journal) Hungry() bool {
	l := &j.line
	messages, bytes := j.client.Sender.Queued()
	return l.messages > 0 && !l.reading && messages <= windowMessages/2 && bytes <= windowBytes/2
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

// Read reads b from s. It takes as long as the disk does, and needs no lock.
func (b *Block) Read(s store.Store) {
	read := 0
	for at := b.from; at <= b.last && read < windowBytes && len(b.found) < windowMessages/2; at = at | 0xff + 1 {
		// A scan begins where its prefix does: so many numbers share theirs.
		prefix := numberKey(keyMessage, at)
		for r, err := range s.Scan(prefix[:len(prefix)-1]) {
			if err != nil {
				b.err = err
				return
			}
			number, ok := numberOf(r.Key)
			if !ok || number < b.from {
				continue
			}
			if read >= windowBytes || len(b.found) >= windowMessages {
				return // the rest follows with the next Block
			}
			read += len(r.Value)
			value := append([]byte(nil), r.Value...)
			m, err := decodeMessage(value)
			found := lined{number: number, message: m}
			if err != nil {
				found.damaged = store.Record{Key: append([]byte(nil), r.Key...), Value: value}
			} else {
				found.size = m.publish.Cost()
			}
			b.found = append(b.found, found)
		}
	}
}

// Refill gives the messages of b to the engine. It returns an error if the Store could
// not be read: the messages stay in line.
func (j *Journal) Refill(b *Block, now time.Time) error {
	l := &j.line
	l.reading = false
	if b.err != nil {
		return b.err
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
		own, ok := l.owned[f.number]
		if ok {
			delete(l.owned, f.number)
		} else {
			own = owned{j.owner(), f.size}
		}
		l.take(own.size)
		o := own.out
		o.Publish, o.Expires, o.Durable = f.message.publish, f.message.expires, true
		j.client.Sender.SubmitLater(o, f.number)
		j.client.Sender.Submit(o, now)
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
	own, ok := j.line.owned[f.number]
	delete(j.line.owned, f.number)
	j.line.take(own.size)
	j.setAside(f.damaged)
	if ok {
		j.client.Sender.Refuse(own.out, errDamaged)
	}
}

// submitUnstored submits the messages before number that are not recorded.
func (j *Journal) submitUnstored(number uint64, now time.Time) {
	l := &j.line
	for len(l.unstored) > 0 && l.unstored[0].Seq() < number {
		o := l.unstored[0]
		l.unstored = l.unstored[1:]
		l.held -= o.Publish.Cost()
		j.client.Sender.Submit(o, now)
	}
}

// FailLine completes with err what waits outside the engine: recorded messages with kept,
// because they stay in the Store. It is for the end of the client.
func (j *Journal) FailLine(err, kept error) {
	l := &j.line
	for _, o := range l.unstored {
		if o.Durable { // by Keep
			j.client.Sender.Refuse(o, kept)
			continue
		}
		j.client.Sender.Refuse(o, err)
	}
	for _, own := range l.owned {
		j.client.Sender.Refuse(own.out, kept)
	}
	for _, e := range j.accepted {
		j.client.Sender.Refuse(e.Out, err)
	}
	j.accepted, j.line = nil, line{}
}
