package mqtt

import (
	"context"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// What waits for a consumer is bounded also at QoS 1 and 2, in number and in bytes:
// the receive maximum bounds one connection only, and not the bytes. A message for
// which there is no room stays with the server. First the reader waits a moment,
// which slows the server down. If the consumer takes nothing meanwhile, the message
// is left: it gets no acknowledgement, nor does what follows it for this
// Subscription, and the reader goes on. When the consumer has made room, a new
// connection brings what was left, on 5.0 with a receive maximum that fits.
//
// Where the session ends with the connection, a new one would bring nothing. There
// the reader has more patience, and what is left is lost: it is counted as dropped,
// and acknowledged when there is room again.

// remote is what a queue knows of the messages that stay with the server.
type remote struct {
	starving bool            // the reader waits for room
	stuck    bool            // it waited in vain, and nobody has taken anything since
	left     []session.Token // of this connection
	asked    bool            // for them to be fetched
	sub      *Subscription   // nil: there is no server
}

// takes says whether the queue may hold so much at QoS 1 and 2.
func (q *queue) takes(firm load) bool {
	times := 1
	if q.early {
		times = earlyRoom
	}
	switch {
	case len(q.remote.left) > 0:
		return false // order: first what was left
	case firm.messages == 1 || q.remote.sub == nil:
		return true
	}
	return firm.messages/times <= q.limit() && firm.bytes/times <= q.maxBytes
}

// limit is how many QoS 1 and 2 messages the queue may hold.
func (q *queue) limit() int { return int(q.remote.sub.client.mayWait.Load()) }

// addFirm is add for a QoS 1 or 2 message.
func (q *queue) addFirm(m item) pushed {
	firm := q.firm
	firm.add(m.size)
	if q.takes(firm) {
		q.items = append(q.items, m)
		q.firm = firm
		return pushTaken
	}
	if len(q.remote.left) > 0 || q.remote.stuck {
		return pushLeft
	}
	q.remote.starving = true
	return pushFull
}

// roomFor says whether a message could be added.
func (q *queue) roomFor(size int) pushed {
	q.mu.Lock()
	defer q.mu.Unlock()
	firm := q.firm
	firm.add(size)
	switch {
	case q.closed != nil || q.final || q.takes(firm):
		return pushTaken
	case len(q.remote.left) > 0 || q.remote.stuck:
		return pushLeft
	}
	q.remote.starving = true
	return pushFull
}

// relieve notes that something was taken. It says whether the reader waits for
// that, and what to call to have the server send what it keeps. Called with q.mu
// held.
func (q *queue) relieve() (starved bool, fetch func()) {
	r := &q.remote
	starved = r.starving
	r.starving, r.stuck = false, false
	if len(r.left) > 0 && !r.asked && q.firm.messages <= q.limit()/2 && q.firm.bytes <= q.maxBytes/2 {
		r.asked = true
		fetch = r.sub.fetchLeft
	}
	return starved, fetch
}

// hasLeft says whether the server keeps messages for the queue.
func (q *queue) hasLeft() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.remote.left) > 0
}

// takeLeft returns the messages that the server keeps, which are no longer the
// queue's.
func (q *queue) takeLeft() []session.Token {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.remote.left
	q.remote.left, q.remote.asked = nil, false
	return left
}

// leave notes that the server keeps the message of t. It says whether that is the
// first for a while, and what to call if somebody has made room just now.
func (q *queue) leave(t session.Token) (first bool, fetch func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first = !q.remote.stuck
	q.remote.left = append(q.remote.left, t)
	if _, fetch = q.relieve(); fetch == nil {
		q.remote.stuck = true
	}
	return first, fetch
}

// heavy says that it is the bytes for which there is no room.
func (q *queue) heavy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.firm.bytes > q.maxBytes/2
}

// reconnected forgets what was left on an earlier connection.
func (q *queue) reconnected() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remote.left, q.remote.asked = nil, false
}

// How long the reader waits for room before it leaves messages with the server. While
// it waits nothing that arrives is looked at.
const (
	roomPatience     = time.Second      // a new connection can bring them
	lastRoomPatience = 10 * time.Second // they will be lost
)

// awaitRoom waits until somebody has taken something from s or s has ended. It
// returns false when that takes too long, or with the connection.
func (k *conn) awaitRoom(ctx context.Context, s *Subscription) bool {
	k.wakeConsumers()
	c := k.client
	limit := lastRoomPatience
	if c.outlives() {
		limit = roomPatience
	}
	k.paused.Store(true) // keep-alive does not expect us to have read anything
	defer k.paused.Store(false)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.queue.room:
		return true
	case <-s.queue.over:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// outlives says whether the session outlives the connection.
func (c *Client) outlives() bool {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	return c.engine.HasSession()
}

// leaveMessage leaves the message of r for s with the server.
func (k *conn) leaveMessage(s *Subscription, r receipt) {
	c := k.client
	t := r.leave()
	lost := false
	c.engine.do(func(engine *session.Client) {
		engine.Receiver.Leave(t)
		lost = !engine.HasSession()
	})
	first, fetch := s.queue.leave(t)
	if lost {
		s.queue.countLost()
	}
	if first && !lost && s.queue.heavy() {
		c.engine.do(func(engine *session.Client) {
			c.window.narrow(engine.Receiver.Open(), int(c.cfg.ReceiveMaximum))
		})
	}
	if fetch != nil {
		fetch()
	}
	if !first {
		return
	}
	what := "leaves QoS 1 and 2 messages with the server"
	if lost {
		what = "drops QoS 1 and 2 messages, for the session ends with the connection"
	}
	c.watchers.send(Event{State: c.State(), Subscription: s,
		Err: fmt.Errorf("%w: subscription %.80q %s", ErrQueueFull, s.options.Filters[0].Filter, what)})
}

// fetchLeft has the server send again what it keeps for s: the messages come with a
// new connection.
func (s *Subscription) fetchLeft() {
	c := s.client
	if c.outlives() {
		c.renew()
		return
	}
	c.renounce(s.queue.takeLeft())
}

// renounce acknowledges messages that the server keeps and nobody wants, so that they
// hold nothing up.
func (c *Client) renounce(left []session.Token) {
	if len(left) == 0 || c.router.isClosed() {
		return
	}
	c.engine.do(func(engine *session.Client) {
		for _, t := range left {
			engine.Receiver.Renounce(t)
		}
	})
}

// window is how many QoS 1 and 2 messages the server may send without an
// acknowledgement, where ReceiveMaximum has turned out to be more than there is
// room for. Guarded by engine.mu.
type window struct {
	size     int // 0: ReceiveMaximum
	narrowed bool
}

// narrow makes the window of the next connections smaller than open messages.
func (w *window) narrow(open, most int) {
	if w.size > 0 {
		most = min(most, w.size)
	}
	w.size = max(1, min(most, open)*3/4)
	w.narrowed = true
}

// announce returns the receive maximum of a new connection.
func (w *window) announce(most uint16) uint16 {
	if w.size == 0 || w.size >= int(most) {
		return most
	}
	return uint16(w.size)
}

// established lets the window grow again when a connection has passed without want
// of room.
func (w *window) established() {
	if !w.narrowed {
		w.size = min(2*w.size, 1<<16)
	}
	w.narrowed = false
}
