package durable

import (
	"container/heap"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
)

// dues has the messages of the line that may not wait forever, the one that has to leave
// first at the top. One that has left the line stays here until its time.
type dues []due

type due struct {
	at     time.Time
	number uint64
}

func (d dues) Len() int           { return len(d) }
func (d dues) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d dues) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *dues) Push(x any)        { *d = append(*d, x.(due)) }

func (d *dues) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

// awaitDue notes how long a message may stay in line.
func (j *Journal) awaitDue(number uint64, m *message) {
	at := m.expires
	if age := j.owner.Age; age > 0 {
		if limit := m.accepted.Add(age); at.IsZero() || limit.Before(at) {
			at = limit
		}
	}
	if !at.IsZero() {
		heap.Push(&j.line.dues, due{at, number})
	}
}

// Due returns when a message of the line has waited long enough. Zero means never.
func (j *Journal) Due() time.Time {
	d := &j.line.dues
	for len(*d) > 0 && (*d)[0].number < j.line.next { // it has left the line
		heap.Pop(d)
	}
	if len(*d) == 0 || j.line.messages == 0 {
		return time.Time{}
	}
	return (*d)[0].at
}

// mostExpired is how many messages one Block lets expire.
const mostExpired = 256

// ExpiredBlock returns what has waited long enough; nil: nothing has. Read and Refill
// have to follow.
func (j *Journal) ExpiredBlock(now time.Time) *Block {
	if j.line.reading {
		return nil
	}
	b := new(Block)
	for at := j.Due(); !at.IsZero() && !at.After(now) && len(b.expired) < mostExpired; at = j.Due() {
		b.expired = append(b.expired, heap.Pop(&j.line.dues).(due).number)
	}
	if len(b.expired) == 0 {
		return nil
	}
	j.line.reading = true
	return b
}

// readExpired reads the messages that have waited long enough, for those who are told.
func (b *Block) readExpired(s store.Store) {
	for _, number := range b.expired {
		for r, err := range s.Scan(numberKey(keyMessage, number)) {
			if err != nil {
				b.err = err
				return
			}
			b.add(number, r)
		}
	}
}

// expire ends the messages of b.
func (j *Journal) expire(b *Block) {
	l := &j.line
	for i := range b.found {
		f := &b.found[i]
		if f.number < l.next || l.gone[f.number] {
			continue
		}
		if f.damaged.Key != nil {
			j.refuseDamaged(f)
			continue
		}
		l.take(f.size)
		if l.gone == nil {
			l.gone = make(map[uint64]bool)
		}
		l.gone[f.number] = true
		o := j.leaveLine(f.number)
		o.Publish, o.Durable = f.message.publish, true
		j.client.Sender.SubmitLater(o, f.number)
		j.client.Sender.Refuse(o, session.ErrExpired)
		j.End(o)
	}
}
