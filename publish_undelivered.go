package mqtt

import (
	"math/rand/v2"
	"time"

	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Undelivered is a message that PublishAsync had accepted and that ended without success.
type Undelivered struct {
	// Message is the one that was given to PublishAsync, or what a PublishHook made of it.
	Message *Message
	// Err is the error of its Delivery. NotSent(Err) says whether the server certainly
	// does not have the message.
	Err error
}

// undelivered are the calls of Config.Undelivered that are due. Nobody waits for them:
// they come one after the other, on a goroutine that lives while there are some. What
// waits here counts in the publishQueue, which takes no more messages when the function
// is too slow.
type undelivered struct {
	call   func(Undelivered) // nil: the program does not want to know
	engine *engine
	forget func(number uint64) // removes a record, under engine.mu; nil: there is no Store

	// Guarded by engine.mu.
	due  []undeliveredCall
	idle chan struct{} // closed when the last call has returned; nil: there was none
}

type undeliveredCall struct {
	Undelivered
	size   int
	number uint64 // of its record, which goes when the call has returned; 0: it has none
}

// of returns what d has to call when it fails. m is its message; if nil, it is made of
// what d has then.
func (u *undelivered) of(d *Delivery, m *Message) func(error) {
	return func(err error) {
		c := undeliveredCall{Undelivered: Undelivered{m, err}, size: d.out.Publish.Cost()}
		if m == nil {
			c.Message = messageOf(&d.out.Publish)
		}
		if d.out.Durable {
			c.number = d.out.Seq()
		}
		u.addLocked(c)
	}
}

func (u *undelivered) addLocked(c undeliveredCall) {
	u.due = append(u.due, c)
	u.engine.queue.unreported.Add(1, c.size)
	if len(u.due) == 1 {
		u.idle = make(chan struct{})
		go u.run(u.idle)
	}
}

// run makes the calls that are due until there is none, and closes idle then.
func (u *undelivered) run(idle chan struct{}) {
	defer close(idle)
	for more := true; more; {
		u.engine.mu.Lock()
		next := u.due[0]
		u.engine.mu.Unlock()
		u.call(next.Undelivered)
		u.engine.do(func(*session.Client) {
			u.due[0] = undeliveredCall{}
			u.due = u.due[1:]
			u.engine.queue.unreported.Add(-1, -next.size)
			if next.number > 0 {
				u.forget(next.number)
			}
			if more = len(u.due) > 0; !more {
				u.due = nil
			}
		})
	}
}

// wait waits until no call is due, but not longer than that: the function may wait for us.
func (u *undelivered) wait(most time.Duration) {
	u.engine.mu.Lock()
	idle := u.idle
	u.engine.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// retryPolicy says how long a message waits that the server has refused for now.
var retryPolicy = reconnect.Policy{Min: time.Second, Max: time.Minute}

// retry returns what decides about messages that the server refuses; nil: each refusal is
// for good.
func (c *Config) retry() session.Retry {
	if !c.RetryRefused {
		return nil
	}
	return func(o *session.Outgoing, code wire.ReasonCode, refused int) (wait time.Duration, again bool) {
		d, ok := o.Owner.(*Delivery)
		if !ok || !d.retried || d.notQueued || !refusedForNow(code) {
			return 0, false
		}
		// Topics that were refused together do not come back together.
		most := retryPolicy.Ceiling(refused)
		return most - rand.N(most/4), true
	}
}

// refusedForNow reports whether a PUBACK or PUBREC with code finds no fault with the message.
// The first three are what the specification lists for them.
func refusedForNow(code wire.ReasonCode) bool {
	switch code {
	case wire.QuotaExceeded, wire.PacketIdentifierInUse, wire.ImplementationSpecificError,
		wire.ServerUnavailable, wire.ServerBusy, wire.MessageRateTooHigh:
		return true
	}
	return false
}
