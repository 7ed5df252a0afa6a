package mqtt

import (
	"errors"

	"github.com/seed65a45251/mqtt/session"
)

// publishCounts counts messages to be published. It is guarded by engine.mu.
type publishCounts struct {
	accepted     uint64
	acknowledged uint64
	failed       *FailedMessages // nil: none has
}

// count counts the end of o. ended says that the client has ended.
func (p *publishCounts) count(o *session.Outgoing, ended bool) {
	if err := o.Err(); err != nil {
		p.outcome().count(err, ended)
	} else if o.Publish.QoS > AtMostOnce {
		p.acknowledged++
	}
}

// dropped counts a new message for which the queue has no space.
func (p *publishCounts) dropped() {
	p.accepted++
	p.outcome().QueueFull++
}

// outcome returns the causes to count in.
func (p *publishCounts) outcome() *FailedMessages {
	if p.failed == nil {
		p.failed = new(FailedMessages)
	}
	return p.failed
}

// shown returns a copy of the causes.
func (p *publishCounts) shown() FailedMessages {
	if p.failed == nil {
		return FailedMessages{}
	}
	return *p.failed
}

// count counts a message that failed with err. Most errors wrap others, so the order
// matters.
func (f *FailedMessages) count(err error, ended bool) {
	switch {
	case isKept(err): // it has not failed: the next process sends it
	case errors.Is(err, session.ErrSuperseded):
		f.Superseded++
	case ended:
		f.Closed++
	case errors.Is(err, ErrExpired):
		f.Expired++
	case errors.Is(err, ErrUndeliverable):
		f.Undeliverable++
	case errors.Is(err, ErrSessionLost):
		f.SessionLost++
	case errors.Is(err, ErrQueueFull):
		f.QueueFull++
	case errors.Is(err, ErrStore):
		f.Store++
	case errors.Is(err, ErrConnectionLost): // in the middle of a large payload
		f.Lost++
	case saidSomething(err):
		f.Refused++
	default:
		f.Limit++
	}
}
