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
	completed bool                          // the engine is done with out; guarded by engine.mu
	notQueued bool                          // see Message.NotQueued
	notStored bool                          // see Message.NotStored
	retried   bool                          // see Config.RetryRefused
	done      atomic.Pointer[chan struct{}] // nil: it is not over, and nobody has called Done
	extra     *deliveryExtra                // nil: nothing of it is needed
}

// deliveryExtra is what only few of the many that may wait have. An asynchronous one without
// a Store has none of it.
type deliveryExtra struct {
	wake     chan struct{}    // of a blocking publish, which reuses its Delivery
	told     func(Ack, error) // called under engine.mu when it has ended; nil: nobody wants to know
	entry    *durable.Entry   // until the engine has out; nil: there is no Store; guarded by engine.mu
	recorded chan struct{}    // closed when out is recorded; nil: nobody waits
}

// extras returns what only few have, for the caller to set.
func (d *Delivery) extras() *deliveryExtra {
	if d.extra == nil {
		d.extra = new(deliveryExtra)
	}
	return d.extra
}

// reports says whether somebody wants to know how it ends.
func (d *Delivery) reports() bool { return d.extra != nil && d.extra.told != nil }

// over is the channel of a Delivery that was over before anybody called Done.
var over = func() *chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return &ch
}()

// Done returns a channel that is closed when the message has failed or the server has
// acknowledged it. With AtMostOnce it is closed when the message is in the write
// buffer.
func (d *Delivery) Done() <-chan struct{} {
	if d.done.Load() == nil {
		d.done.CompareAndSwap(nil, new(make(chan struct{})))
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
	}
	select {
	case <-d.Done(): // it was there as well
		return d.result()
	default:
		return Ack{}, &requestError{"wait for delivery of", d.out.Publish.Topic, true, context.Cause(ctx)}
	}
}

// completedLocked notes that the engine is done with out.
func (d *Delivery) completedLocked() {
	d.completed = true
	if d.reports() {
		told := d.extra.told
		d.extra.told = nil
		told(d.result())
	}
}

// tell adds f to those who want to know how it ends. The engine must not have it yet.
func (d *Delivery) tell(f func(Ack, error)) {
	extra := d.extras()
	if before := extra.told; before != nil {
		extra.told = func(ack Ack, err error) {
			before(ack, err)
			f(ack, err)
		}
		return
	}
	extra.told = f
}

// finish says that out.Result is there.
func (d *Delivery) finish() {
	if d.extra != nil && d.extra.wake != nil {
		d.extra.wake <- struct{}{} // has capacity for it
		return
	}
	if !d.done.CompareAndSwap(nil, over) {
		close(*d.done.Load())
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
	return &Delivery{extra: &deliveryExtra{wake: make(chan struct{}, 1)}}
}

func (p *deliveries) put(d *Delivery) {
	d.out, d.extra.entry = session.Outgoing{}, nil
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
