package mqtt

import (
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// effects are what a call into the engine has left to do once the lock is
// released: waiters to wake, requests to finish, the writer to rouse. Nobody is
// told anything while the lock is held.
type effects struct {
	completed []*session.Outgoing
	answered  []*session.Request
	interests []session.InterestAnswer
	left      []*session.Leave
	room      []chan struct{}
	flushes   []*flush
	released  []chan struct{}
	writer    *conn

	client    *Client // set with tolerated
	tolerated []*wire.Error
}

// settle collects the effects of what was just done to the engine. Called with
// c.mu held.
func (c *Client) settle(e *effects) {
	e.completed = c.engine.Sender.Completed(e.completed)
	e.answered = c.engine.Answered(e.answered)
	e.interests = c.engine.Subscriptions.Answers(e.interests)
	e.left = c.engine.Subscriptions.Left(e.left)
	for _, o := range e.completed {
		o.Owner.(*Delivery).settled = true
		if k := c.conn; k != nil && o.Publish.QoS == AtMostOnce && o.Sent() {
			k.out.lossy = k.out.taken
			if c.engine.Pending() > 0 { // and not all of it written from where it was
				k.out.lossy++
			}
		}
		if len(c.flushes) > 0 {
			c.countFlushes(e, o.Seq())
		}
	}
	if faults := c.tolerance.take(); faults != nil {
		e.client, e.tolerated = c, faults
	}
	if c.roomWaiters.list.len() > 0 {
		c.offerRoom(e)
	}
	if len(c.released) > 0 && c.engine.Receiver.Owed() == 0 {
		e.released, c.released = append(e.released, c.released...), nil
	}
	if k := c.conn; k != nil && k.out.asleep && !k.out.busy && c.engine.Pending() > 0 {
		k.out.asleep = false
		e.writer = k
	}
}

// perform does what settle collected and leaves e empty for reuse.
func (e *effects) perform() {
	if e.writer != nil {
		e.writer.wakeUp()
		e.writer = nil
	}
	if e.tolerated != nil {
		e.client.warn(e.tolerated)
		e.tolerated = nil
	}
	for i, o := range e.completed {
		e.completed[i] = nil
		o.Owner.(*Delivery).finish()
	}
	e.completed = e.completed[:0]
	for i, r := range e.answered {
		e.answered[i] = nil
		r.Owner.(answerer).answer(r)
	}
	e.answered = e.answered[:0]
	for i, a := range e.interests {
		e.interests[i] = session.InterestAnswer{}
		a.Interest.Owner.(*Subscription).answered(a)
	}
	e.interests = e.interests[:0]
	for i, l := range e.left {
		e.left[i] = nil
		if u, ok := l.Owner.(*leaving); ok {
			u.conclude(l)
		}
	}
	e.left = e.left[:0]
	for _, w := range e.room {
		w <- struct{}{} // has room for it
	}
	e.room = e.room[:0]
	for _, f := range e.flushes {
		close(f.done)
	}
	e.flushes = e.flushes[:0]
	for _, done := range e.released {
		close(done)
	}
	e.released = nil
}

// answerer is what waits for a SUBACK or UNSUBACK.
type answerer interface{ answer(*session.Request) }

// do runs f on the engine under the lock and performs what follows from it.
func (c *Client) do(f func(*session.Client)) {
	var e effects
	c.mu.Lock()
	f(c.engine)
	c.settle(&e)
	c.mu.Unlock()
	e.perform()
}
