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
	// Message is a copy of the one that was given to PublishAsync. The payload is the same.
	Message *Message
	// Err is the error of its Delivery. NotSent(Err) says whether the server certainly
	// does not have the message.
	Err error
}

// undelivered are the calls of Config.Undelivered.
type undelivered struct {
	call func(Undelivered) // nil: the program does not want to know
	reports
}

// undeliveredCall is one of them.
type undeliveredCall struct {
	Undelivered
	call func(Undelivered)
}

func (c *undeliveredCall) report() { c.call(c.Undelivered) }

// of returns what d has to call when it has ended. m is its message; if nil, it is made of
// what d has then.
func (u *undelivered) of(d *Delivery, m *Message) func(Ack, error) {
	return func(_ Ack, err error) {
		if err == nil || isKept(err) {
			return
		}
		message := m
		if message == nil {
			message = messageOf(&d.out.Publish)
		}
		r := report{reporter: &undeliveredCall{Undelivered{message, err}, u.call}, size: d.out.Publish.Cost()}
		if d.out.Durable {
			r.number = d.out.Seq()
		}
		u.addLocked(r)
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
