package mqtt

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/internal/durable"
	"github.com/seed65a45251/mqtt/session"
)

// Ack is the server's answer in an acknowledgement. For a published message ReasonCode
// is Success or NoMatchingSubscribers. For a filter it is what was granted, or why the
// filter was refused.
type Ack struct {
	ReasonCode     ReasonCode
	ReasonString   string
	UserProperties []UserProperty
}

// Delivery is a message on its way to the server. It survives reconnects. Its fields are
// in an order that wastes no memory: there is one for each message.
type Delivery struct {
	out       session.Outgoing
	completed bool          // the engine is done with out; guarded by engine.mu
	notQueued bool          // see Message.NotQueued
	notStored bool          // see Message.NotStored
	retried   bool          // see Config.RetryRefused
	ended     atomic.Uint32 // one of the states below
	done      atomic.Pointer[chan struct{}]
	wake      chan struct{}    // of a blocking publish, which reuses its Delivery
	told      func(Ack, error) // called under engine.mu when it has ended; nil: nobody wants to know
	entry     *durable.Entry   // until the engine has out; nil: there is no Store; guarded by engine.mu
	recorded  chan struct{}    // closed when out is recorded; nil: nobody waits
}

const (
	deliveryOver   = 1 // out.Result may be read
	deliveryClosed = 2 // and the channel of Done is closed
)

// Done returns a channel that is closed when the message has failed or the server has
// acknowledged it. With AtMostOnce it is closed when the message is in the write
// buffer.
func (d *Delivery) Done() <-chan struct{} {
	if d.done.Load() == nil {
		ch := make(chan struct{})
		d.done.CompareAndSwap(nil, &ch)
		d.closeDone()
	}
	return *d.done.Load()
}

// Wait waits for Done or the end of ctx. It returns the server's acknowledgement or why
// the message failed. The end of ctx ends only the wait.
func (d *Delivery) Wait(ctx context.Context) (Ack, error) {
	select {
	case <-d.Done():
		return d.result()
	case <-ctx.Done():
		return Ack{}, &requestError{"wait for delivery of", d.out.Publish.Topic, true, context.Cause(ctx)}
	}
}

// completedLocked notes that the engine is done with out.
func (d *Delivery) completedLocked() {
	d.completed = true
	if told := d.told; told != nil {
		d.told = nil
		told(d.result())
	}
}

// tell adds f to those who want to know how it ends. The engine must not have it yet.
func (d *Delivery) tell(f func(Ack, error)) {
	if before := d.told; before != nil {
		d.told = func(ack Ack, err error) {
			before(ack, err)
			f(ack, err)
		}
		return
	}
	d.told = f
}

// wasRecordedLocked says that the message is in the Store, if it is to be.
func (d *Delivery) wasRecordedLocked() {
	if d.recorded != nil {
		close(d.recorded)
	}
}

// finish says that out.Result is there.
func (d *Delivery) finish() {
	if d.wake != nil {
		d.wake <- struct{}{} // has capacity for it
		return
	}
	d.ended.CompareAndSwap(0, deliveryOver)
	d.closeDone()
}

// closeDone closes the channel of Done if there is one and the message is over.
func (d *Delivery) closeDone() {
	if ch := d.done.Load(); ch != nil && d.ended.CompareAndSwap(deliveryOver, deliveryClosed) {
		close(*ch)
	}
}

func (d *Delivery) result() (Ack, error) {
	r := d.out.Result()
	if r.Err != nil {
		return Ack{}, &requestError{"publish", d.out.Publish.Topic, d.out.Sent() || mayBeStored(r.Err), r.Err}
	}
	return Ack{r.ReasonCode, r.ReasonString, r.UserProperties}, nil
}

// deliveries are those of blocking publishes, with a channel that is used
// again. Each client has its own: a channel may not leave the testing/synctest
// bubble in which it was made.
type deliveries struct{ pool sync.Pool }

// get returns a Delivery that is not completed.
func (p *deliveries) get() *Delivery {
	if d, ok := p.pool.Get().(*Delivery); ok {
		d.completed = false
		return d
	}
	return &Delivery{wake: make(chan struct{}, 1)}
}

func (p *deliveries) put(d *Delivery) {
	d.out, d.entry = session.Outgoing{}, nil
	p.pool.Put(d)
}

// keptError ends a message that stays in the Store. It is not lost: the next process
// sends it.
type keptError struct{ err error }

func (e *keptError) Error() string { return e.err.Error() + ", and the message stays in Config.Store" }

func (e *keptError) Unwrap() error { return e.err }

// mayBeStored reports whether err ends a message that a later process may send.
func mayBeStored(err error) bool {
	_, unclear := errors.AsType[*durable.UnclearError](err)
	return unclear || isKept(err)
}

// isKept reports whether err ends a message that stays in the Store.
func isKept(err error) bool {
	_, kept := errors.AsType[*keptError](err)
	return kept
}
