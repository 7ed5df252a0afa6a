package mqtt

import (
	"sync"

	"github.com/seed65a45251/mqtt/internal/capacity"
	"github.com/seed65a45251/mqtt/session"
)

// engine is the protocol behind its lock. Every use has the same shape: lock, call,
// collect what follows, unlock, notify. The lock is never held across I/O, a channel
// operation that may wait, or a call of the user's code.
//
// do is that shape; unlock is its end for functions whose middle is longer. Two callers
// notify later. The reader of a connection notifies the waiters for a SUBACK or
// UNSUBACK after it has delivered the messages that came before it. The end of a client
// first cancels the client's context. A caller that changes nothing in the engine, such
// as one that reads a value, takes the lock alone.
type engine struct {
	mu sync.Mutex // guards all below, and what says so elsewhere
	*session.Client

	refusing  error    // why no more messages are taken, except for those that wait already; nil: they are
	refused   progress // something has happened while refusing is set
	ending    error    // why no more requests are taken; nil: they are
	ended     error    // why nothing is sent any more; nil: it is
	outbox    *outbox  // of the established connection; nil: there is none
	queue     publishQueue
	published publishCounts
	flushes   flushes
	keeper    *keeper // nil: there is no Store
	alarm     alarm
	owed      []chan struct{} // closed when the server is owed nothing
}

// do calls f under the lock, and notifies the owners after unlocking. f must neither
// wait nor lock engine.mu.
func (e *engine) do(f func(*session.Client)) {
	var n notices
	e.mu.Lock()
	f(e.Client)
	e.unlock(&n)
}

// unlock ends what began with locking mu: it collects into n what follows, unlocks and
// notifies. n is the caller's and may be reused.
func (e *engine) unlock(n *notices) {
	e.collectLocked(n)
	ending := e.refusing != nil
	e.mu.Unlock()
	n.send()
	if ending {
		e.refused.made()
	}
}

// noticesPool has notices for goroutines that live as long as a connection: what they
// need for a moment is to stay off their stacks, which do not shrink to the first 2 KiB again.
var noticesPool = sync.Pool{New: func() any { return new(notices) }}

// unlockPooled is unlock with notices from noticesPool.
func (e *engine) unlockPooled() {
	n := noticesPool.Get().(*notices)
	e.unlock(n)
	noticesPool.Put(n)
}

// endLocked says that no more requests are taken because of err, unless there is
// another cause already. It returns the cause in force.
func (e *engine) endLocked(err error) error {
	if e.ending == nil {
		e.ending = err
	}
	e.refuseLocked(err)
	return e.ending
}

// refuseLocked says that no more messages are taken because of err. Those that were taken
// are sent, and those that wait for capacity go on waiting.
func (e *engine) refuseLocked(err error) {
	if e.refusing == nil {
		e.refusing = err
	}
}

// waited says whether publishers wait for capacity.
func (e *engine) waited() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := &e.queue.waiters
	return w.Any() || w.Offered(capacity.AtMostOnce).Messages+w.Offered(capacity.Acknowledged).Messages > 0
}

// endingCause returns why no more requests are taken; nil: they are.
func (e *engine) endingCause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ending
}

// The owners of what is in the engine, besides the Delivery of a message. They are called
// without the lock.
type (
	requestOwner  interface{ answer(*session.Request) }
	interestOwner interface{ answered(session.InterestAnswer) }
	leaveOwner    interface{ conclude(*session.Leave) }
)

// notices are what a call into the engine leaves to do after unlocking: waiters to
// wake, requests to finish, the writer to wake. collectLocked fills them; send carries
// them out and must be called without a lock, because owners take locks of their own.
// One goroutine at a time uses a notices.
type notices struct {
	completed []*session.Outgoing
	answered  []*session.Request
	interests []session.InterestAnswer
	left      []*session.Leave
	admitted  []chan struct{}
	flushed   []*flush
	released  []chan struct{}
	writer    *outbox
	keeper    *keeper
}

// collectLocked collects into n what follows from the last calls into the engine. What
// it has collected has left the engine: the caller has to call send.
func (e *engine) collectLocked(n *notices) {
	n.completed = e.Sender.Completed(n.completed)
	n.answered = e.Answered(n.answered)
	n.interests = e.Subscriptions.Answers(n.interests)
	n.left = e.Subscriptions.Left(n.left)
	for _, o := range n.completed {
		o.Owner.(*Delivery).completedLocked()
		e.published.count(o, e.ended != nil)
		if e.outbox != nil && o.Publish.QoS == AtMostOnce && o.Sent() {
			e.outbox.tookLossyLocked(e.Pending() > 0)
		}
		if len(e.flushes) > 0 {
			n.flushed = e.flushes.count(n.flushed, o.Seq())
		}
	}
	if len(e.flushes) > 0 && e.stuckLocked() {
		n.flushed = e.flushes.giveUp(n.flushed)
	}
	if e.keeper != nil || e.Sender.HasDeadline() {
		e.setAlarmLocked(e.deadlineLocked())
	}
	if e.queue.waiters.Any() {
		n.admitted = e.queue.offer(n.admitted, e.Sender)
	}
	if len(e.owed) > 0 && e.Receiver.Owed() == 0 {
		n.released, e.owed = append(n.released, e.owed...), nil
	}
	if e.keeper != nil && e.keeper.wakeLocked() {
		n.keeper = e.keeper
	}
	if o := e.outbox; o != nil && e.Pending() > 0 && o.needsWakeLocked(e.Client) {
		n.writer = o
	}
}

// stuckLocked reports whether all that is left to send waits because of a refusal.
func (e *engine) stuckLocked() bool {
	return e.Sender.Stuck() && (e.keeper == nil || !e.keeper.journal.Moving())
}

// send notifies all that collectLocked has found, without the lock, and leaves n empty
// for reuse.
func (n *notices) send() {
	n.sendOutgoing()
	n.sendAnswers()
}

// sendOutgoing notifies the waiters for messages, capacity, flushes and the writer.
func (n *notices) sendOutgoing() {
	if n.writer != nil {
		n.writer.wakeWriter()
		n.writer = nil
	}
	if n.keeper != nil {
		n.keeper.wakeUp()
		n.keeper = nil
	}
	for i, o := range n.completed {
		n.completed[i] = nil
		o.Owner.(*Delivery).finish()
	}
	n.completed = n.completed[:0]
	for _, w := range n.admitted {
		w <- struct{}{} // has capacity for it
	}
	n.admitted = n.admitted[:0]
	for _, f := range n.flushed {
		close(f.done)
	}
	n.flushed = n.flushed[:0]
	for _, done := range n.released {
		close(done)
	}
	n.released = nil
}

// sendAnswers notifies the waiters for a SUBACK or UNSUBACK.
func (n *notices) sendAnswers() {
	for i, r := range n.answered {
		n.answered[i] = nil
		r.Owner.(requestOwner).answer(r)
	}
	n.answered = n.answered[:0]
	for i, a := range n.interests {
		n.interests[i] = session.InterestAnswer{}
		a.Interest.Owner.(interestOwner).answered(a)
	}
	n.interests = n.interests[:0]
	for i, l := range n.left {
		n.left[i] = nil
		if owner, ok := l.Owner.(leaveOwner); ok {
			owner.conclude(l)
		}
	}
	n.left = n.left[:0]
}
