package mqtt

import (
	"sync"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// engine is the protocol behind its lock. Every use has the same shape: lock, call,
// collect what follows, unlock, notify. The lock is never held across I/O, a channel
// operation that may wait, or a call of the user's code.
type engine struct {
	mu sync.Mutex // guards all below, apart from what is atomic
	*session.Client

	conn      *conn // the established connection; nil: there is none
	ending    error // why no more requests are taken; nil: they are
	status    status
	counters  counters
	tolerance tolerance
	warn      func([]*wire.Error) // logs what was tolerated

	flushes     []*flush
	lossTold    uint64 // of Sender.Lost, what Flush has told
	queue       queueLimits
	roomWaiters roomWaiters
	released    []chan struct{} // who waits until nothing is owed to the server
}

// do calls f under the lock and notifies whom it concerns.
func (e *engine) do(f func(*session.Client)) {
	var n notices
	e.mu.Lock()
	f(e.Client)
	e.unlock(&n)
}

// unlock ends what began with locking mu: it collects what follows, unlocks and
// notifies.
func (e *engine) unlock(n *notices) {
	e.collectLocked(n)
	e.mu.Unlock()
	n.send()
}

// endingCause returns why no more requests are taken; nil: they are.
func (e *engine) endingCause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ending
}

// notices are what a call into the engine has left to do once the lock is
// released: waiters to wake, requests to finish, the writer to rouse. Nobody is
// told anything while the lock is held.
type notices struct {
	completed []*session.Outgoing
	answered  []*session.Request
	interests []session.InterestAnswer
	left      []*session.Leave
	room      []chan struct{}
	flushes   []*flush
	released  []chan struct{}
	writer    *conn

	tolerated []*wire.Error
	warn      func([]*wire.Error) // set with tolerated
}

// collectLocked collects what follows from what was just done to the engine.
func (e *engine) collectLocked(n *notices) {
	n.completed = e.Sender.Completed(n.completed)
	n.answered = e.Answered(n.answered)
	n.interests = e.Subscriptions.Answers(n.interests)
	n.left = e.Subscriptions.Left(n.left)
	for _, o := range n.completed {
		o.Owner.(*Delivery).settled = true
		if k := e.conn; k != nil && o.Publish.QoS == AtMostOnce && o.Sent() {
			k.out.lossy = k.out.taken
			if e.Pending() > 0 { // and not all of it written from where it was
				k.out.lossy++
			}
		}
		if len(e.flushes) > 0 {
			e.countFlushesLocked(n, o.Seq())
		}
	}
	if faults := e.tolerance.take(); faults != nil {
		n.warn, n.tolerated = e.warn, faults
	}
	if e.roomWaiters.list.len() > 0 {
		e.offerRoomLocked(n)
	}
	if len(e.released) > 0 && e.Receiver.Owed() == 0 {
		n.released, e.released = append(n.released, e.released...), nil
	}
	if k := e.conn; k != nil && k.out.asleep && !k.out.busy && e.Pending() > 0 {
		k.out.asleep = false
		n.writer = k
	}
}

// send notifies whom collectLocked has found, without the lock, and leaves n empty
// for reuse.
func (n *notices) send() {
	if n.writer != nil {
		n.writer.wakeUp()
		n.writer = nil
	}
	if n.tolerated != nil {
		n.warn(n.tolerated)
		n.tolerated = nil
	}
	for i, o := range n.completed {
		n.completed[i] = nil
		o.Owner.(*Delivery).finish()
	}
	n.completed = n.completed[:0]
	for i, r := range n.answered {
		n.answered[i] = nil
		r.Owner.(answerer).answer(r)
	}
	n.answered = n.answered[:0]
	for i, a := range n.interests {
		n.interests[i] = session.InterestAnswer{}
		a.Interest.Owner.(*Subscription).answered(a)
	}
	n.interests = n.interests[:0]
	for i, l := range n.left {
		n.left[i] = nil
		if u, ok := l.Owner.(*leaving); ok {
			u.conclude(l)
		}
	}
	n.left = n.left[:0]
	for _, w := range n.room {
		w <- struct{}{} // has room for it
	}
	n.room = n.room[:0]
	for _, f := range n.flushes {
		close(f.done)
	}
	n.flushes = n.flushes[:0]
	for _, done := range n.released {
		close(done)
	}
	n.released = nil
}

// answerer is what waits for a SUBACK or UNSUBACK.
type answerer interface{ answer(*session.Request) }
