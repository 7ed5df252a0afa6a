package mqtt

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// What waits for a consumer is bounded also at QoS 1 and 2, in number and in bytes:
// the receive maximum bounds one connection only, and not the bytes. A message for
// which there is no space stays with the server. First the reader waits a moment,
// which slows the server down. If the consumer takes nothing meanwhile, the message
// is left: it gets no acknowledgement, nor does what follows it for this
// Subscription, and the reader goes on. When the consumer has made space, a new
// connection brings what was left, on 5.0 with a receive maximum that fits.
//
// Where the session ends with the connection, a new one would bring nothing. There
// the reader has more patience, and what is left is lost: it is counted as dropped,
// and acknowledged when there is space again.

// How long the reader waits for space before it leaves messages with the server. While
// it waits nothing that arrives is looked at.
const (
	spacePatience     = time.Second      // a new connection can bring them
	lastSpacePatience = 10 * time.Second // they will be lost
)

// awaitSpace waits until somebody has taken something from s or s has ended. It
// returns false when that takes too long, or with the connection.
func (d *receiver) awaitSpace(ctx context.Context, s *Subscription) bool {
	d.wakeConsumers()
	limit := lastSpacePatience
	if d.inbox.outlivesConnection() {
		limit = spacePatience
	}
	d.paused.Store(true) // keep-alive does not expect us to have read anything
	defer d.paused.Store(false)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.queue.space:
		return true
	case <-s.queue.over:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// awaitSpaceFor waits for space for m, and gives it up when that takes too long.
func (d *receiver) awaitSpaceFor(ctx context.Context, s *Subscription, m item) bool {
	if m.QoS > AtMostOnce {
		if d.awaitSpace(ctx, s) {
			return true
		}
		d.leaveItem(s, m)
		return false
	}
	d.wakeConsumers()
	select {
	case <-s.queue.space:
	case <-s.queue.over:
	case <-ctx.Done():
		s.queue.giveUp(m)
		return false
	}
	return true
}

// awaitSpaceForAll waits until all have space for a message: either all get it or
// none, because it is acknowledged for all of them.
func (d *receiver) awaitSpaceForAll(ctx context.Context, subs []*Subscription, ids []holdID, in *session.Received) bool {
	size := in.Publish.Cost()
	for _, s := range subs {
		result := s.queue.fits(size)
		for result == pushFull && d.awaitSpace(ctx, s) {
			result = s.queue.fits(size)
		}
		if result == pushTaken {
			continue
		}
		h := d.inbox.holds
		last := len(ids) - 1
		for _, id := range ids[:last] {
			h.acknowledger(id).leaveOnServer()
		}
		d.inbox.leaveMessage(s, h.acknowledger(ids[last]), size, last > 0)
		return false
	}
	return true
}

// leaveItem leaves a message that was made already.
func (d *receiver) leaveItem(s *Subscription, m item) {
	d.inbox.leaveMessage(s, m.acknowledger, m.size, false)
	m.lease.release(1)
}

// window bounds the QoS 1 and 2 messages that wait here. size is how many the server
// may send without an acknowledgement, where ReceiveMaximum has turned out to be more
// than there is space for; it is guarded by engine.mu, as is narrowed.
type window struct {
	size     int // 0: ReceiveMaximum
	narrowed bool
	mayWait  atomic.Int64 // in each queue; more than ReceiveMaximum where the server sends more than it may
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
// of space.
func (w *window) established() {
	if !w.narrowed {
		w.size = min(2*w.size, 1<<16)
	}
	w.narrowed = false
}
