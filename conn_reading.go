package mqtt

import (
	"context"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/internal/line"
)

// reading is the right to read from a connection, and to take what arrives. It belongs to
// the reader. While messages of QoS 0 for one Subscription come faster than they are read,
// the reader passes it to the consumer that waits for them, which then reads what it
// handles: the messages do not change processors, and nobody is woken for them. A consumer
// reads only what is there, between two of its messages. It does nothing for which it would
// have to wait: that it leaves to the reader together with the reading, which it also gives
// back when nothing is there.
//
// What a consumer does with its messages may take any time. So the reader looks after
// readingPatience whether anything was read, and takes the reading back if not.
type reading struct {
	conn  *conn
	fixed bool          // it stays with the reader
	back  chan struct{} // one token: it was given back
	timer *time.Timer   // of the reader; nil: it was never passed
	next  time.Time     // it is not passed before that; of the reader

	mu     sync.Mutex // held by the goroutine that reads, while it is passed
	trying bool       // the read under way may not wait
	passed bool       // to the consumers of one queue
	used   bool       // since the reader has last looked
	batch  *batch     // what a consumer leaves to the reader; nil: nothing
	err    error      // of its read
}

const (
	// readingPatience is how long a consumer may keep the reading without using it.
	readingPatience = time.Millisecond
	// readingPause is how long the reading is not passed after that.
	readingPause = 100 * time.Millisecond
)

// free returns r if it may be passed, and nil if not. The reader calls it.
func (r *reading) free() source {
	if r.fixed || !r.next.IsZero() && time.Now().Before(r.next) {
		return nil
	}
	return r
}

// pass passes the reading. The reader calls it, tells consumers, and then has to call await.
func (r *reading) pass() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passed, r.used = true, true
}

// await waits until the reading is back, which the end of ctx enforces. b is what is left
// to finish, and err is that of a read.
func (r *reading) await(ctx context.Context) (b *batch, err error) {
	if r.timer == nil {
		r.timer = time.NewTimer(readingPatience)
	} else {
		r.timer.Reset(readingPatience)
	}
	defer r.timer.Stop()
	for {
		select {
		case <-r.back:
			b, r.batch = r.batch, nil
			err, r.err = r.err, nil
			return b, err
		case <-r.timer.C:
		case <-ctx.Done():
		}
		if r.reclaim(ctx.Err() != nil) {
			continue // there is a token now
		}
		r.timer.Reset(readingPatience)
	}
}

// reclaim is for the reader. It takes the reading back if it was not used, or at once. It reports whether the
// reading is back.
func (r *reading) reclaim(atOnce bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.passed && r.used && !atOnce {
		r.used = false
		return false
	}
	if r.passed {
		r.next = time.Now().Add(readingPause)
		r.giveBackLocked()
	}
	return true
}

// giveBackLocked returns the reading to the reader.
func (r *reading) giveBackLocked() {
	r.passed = false
	r.conn.receiver.retake()
	signal(r.back)
}

// step takes what is there, without waiting, for a consumer to which the reading was
// passed. If there is nothing for it, the reading goes back.
func (r *reading) step() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.passed {
		return
	}
	r.used = true
	k := r.conn
	b := k.decodeBatch()
	if b == nil {
		r.trying = true
		err := k.reader.Fill()
		r.trying = false
		if err != nil {
			if err != line.ErrNothing {
				r.err = err
			}
			r.giveBackLocked()
			return
		}
		if b = k.decodeBatch(); b == nil {
			return
		}
	}
	if k.plain(b) {
		k.settle(b)
		if received := b.Received(); len(received) == 0 || k.receiver.take(received) {
			b.notices.sendAnswers()
			k.recycle(b)
			return
		}
	}
	r.batch = b
	r.giveBackLocked()
}
