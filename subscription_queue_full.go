package mqtt

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/session"
)

// remote is what a queue knows of the messages that stay with the server.
type remote struct {
	starving bool            // the reader waits for space
	stuck    bool            // it waited in vain, and nobody has taken anything since
	tokens   []session.Token // of these messages, from this connection
	asked    bool            // for them to be fetched
	fetch    func()          // has the server send them again; nil: there is no server
	limit    *atomic.Int64   // of QoS 1 and 2 messages in the queue
}

// fitsLocked says whether the queue may hold so much at QoS 1 and 2.
func (q *queue) fitsLocked(firm load) bool {
	times := 1
	if q.early {
		times = earlySpace
	}
	switch {
	case len(q.remote.tokens) > 0:
		return false // order: first what was left
	case firm.messages == 1 || q.remote.fetch == nil:
		return true
	}
	return firm.messages/times <= q.limit() && firm.bytes/times <= q.maxBytes
}

// limit is how many QoS 1 and 2 messages the queue may hold.
func (q *queue) limit() int { return int(q.remote.limit.Load()) }

// addFirmLocked is addLocked for a QoS 1 or 2 message.
func (q *queue) addFirmLocked(m item) pushed {
	firm := q.firm
	firm.add(m.size)
	if q.fitsLocked(firm) {
		q.items = append(q.items, m)
		q.firm = firm
		return pushTaken
	}
	if len(q.remote.tokens) > 0 || q.remote.stuck {
		return pushLeft
	}
	q.remote.starving = true
	return pushFull
}

// fits says whether a message could be added.
func (q *queue) fits(size int) pushed {
	q.mu.Lock()
	defer q.mu.Unlock()
	firm := q.firm
	firm.add(size)
	switch {
	case q.closed != nil || q.final != nil || q.fitsLocked(firm):
		return pushTaken
	case len(q.remote.tokens) > 0 || q.remote.stuck:
		return pushLeft
	}
	q.remote.starving = true
	return pushFull
}

// noteTakenLocked notes that something was taken. It says whether the reader waits for
// that, and what to call to have the server send what it keeps.
func (q *queue) noteTakenLocked() (starved bool, fetch func()) {
	r := &q.remote
	starved = r.starving
	r.starving, r.stuck = false, false
	if len(r.tokens) > 0 && !r.asked && q.progress == nil && q.firm.messages <= q.limit()/2 && q.firm.bytes <= q.maxBytes/2 {
		r.asked = true
		fetch = r.fetch
	}
	return starved, fetch
}

// leavesOnServer says whether the server keeps messages for the queue.
func (q *queue) leavesOnServer() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.remote.tokens) > 0
}

// takeOnServer returns the messages that the server keeps, which are no longer the
// queue's.
func (q *queue) takeOnServer() []session.Token {
	q.mu.Lock()
	defer q.mu.Unlock()
	tokens := q.remote.tokens
	q.remote.tokens, q.remote.asked = nil, false
	return tokens
}

// leaveOnServer notes that the server keeps the message of t. It says whether that is the
// first for a while, and what to call if somebody has made space just now.
func (q *queue) leaveOnServer(t session.Token) (first bool, fetch func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first = !q.remote.stuck
	q.remote.tokens = append(q.remote.tokens, t)
	if _, fetch = q.noteTakenLocked(); fetch == nil {
		q.remote.stuck = true
	}
	return first, fetch
}

// heavy says that it is the bytes for which there is no space.
func (q *queue) heavy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.firm.bytes > q.maxBytes/2
}

// reconnected forgets what was left on an earlier connection.
func (q *queue) reconnected() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remote.tokens, q.remote.asked = nil, false
}
