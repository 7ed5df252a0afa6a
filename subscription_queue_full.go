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
	first    int             // weight of the first of them
	shared   bool            // further messages, for which others wait, too
	asked    bool            // for them to be fetched
	fetch    func()          // has the server send them again; nil: there is no server
	limit    *atomic.Int64   // of QoS 1 and 2 messages in the queue
	usual    int             // the limit where the server keeps to it: Config.ReceiveMaximum
}

// any reports whether the server keeps anything.
func (r *remote) any() bool { return len(r.tokens) > 0 || r.shared }

// fitsLocked says whether the queue may hold so much at QoS 1 and 2.
func (q *queue) fitsLocked(firm load) bool {
	switch {
	case q.remote.any():
		return false // order: first what was left
	case firm.messages == 1 || q.remote.fetch == nil:
		return true
	}
	if q.early {
		return q.withinLocked(firm, earlySpace, 1)
	}
	return q.withinLocked(firm, 1, 1)
}

// withinLocked says whether so much at QoS 1 and 2 is within so many times the limits,
// divided by part.
func (q *queue) withinLocked(firm load, times, part int) bool {
	usual, bytes := times*q.remote.usual, firm.bytes
	if firm.messages > usual/part {
		bytes += firm.messages * emptyMessage
	}
	return firm.messages <= max(usual, q.limit())/part && bytes/times <= q.maxBytes/part
}

// emptyMessage is about how many bytes of memory a message takes besides its weight, with
// what the engine keeps of it. It counts where a server has sent more messages than it may:
// many empty ones would not be bounded otherwise.
const emptyMessage = 400

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
	if q.remote.any() || q.remote.stuck {
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
	case q.remote.any() || q.remote.stuck:
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
	if r.any() && !r.asked && q.progress == nil && q.roomyLocked() {
		r.asked = true
		fetch = r.fetch
	}
	return starved, fetch
}

// roomyLocked says whether half of the space is free, and enough for what was left first.
func (q *queue) roomyLocked() bool {
	next := q.firm
	next.add(q.remote.first)
	return q.withinLocked(q.firm, 1, 2) && (next.messages == 1 || q.withinLocked(next, 1, 1))
}

// leavesOnServer says whether the server keeps messages for the queue.
func (q *queue) leavesOnServer() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.remote.any()
}

// takeOnServer returns the messages that the server keeps, which are no longer the
// queue's. shared says that others wait for more of them: the server has to send those
// again.
func (q *queue) takeOnServer() (tokens []session.Token, shared bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	tokens, shared = q.remote.tokens, q.remote.shared
	q.remote.tokens, q.remote.shared, q.remote.asked = nil, false, false
	return tokens, shared
}

// leaveOnServer notes that the server keeps the message of t, with this weight. It says
// whether that is the first for a while, and what to call if somebody has made space just
// now.
func (q *queue) leaveOnServer(t session.Token, weight int, shared bool) (first bool, fetch func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first = !q.remote.stuck
	if !q.remote.any() {
		q.remote.first = weight
	}
	if q.remote.shared = q.remote.shared || shared; !shared {
		q.remote.tokens = append(q.remote.tokens, t)
	}
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
	q.remote.tokens, q.remote.shared, q.remote.asked = nil, false, false
}
