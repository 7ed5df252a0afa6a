package session

import (
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// dueMessages has the messages of the queue that may not wait forever, the one that has
// to leave first at the top. It is a heap in which each message knows its place, so that
// a message that is sent is taken out without a search.
type dueMessages struct {
	on     bool // the owner calls DropExpired at Deadline
	places []dueMessage
}

type dueMessage struct {
	at      time.Time // when it has waited long enough
	message *Outgoing // its due is its place here, from 1
}

// keptDue is how many places an empty heap keeps.
const keptDue = 64

// errTooLong ends a message that WaitUntil gave less time than its expiry interval.
var errTooLong = fmt.Errorf("%w: it waited too long to be sent", ErrExpired)

// HasDeadline is false if [Sender.Deadline] is zero. It costs nothing.
func (s *Sender) HasDeadline() bool {
	return len(s.due.places) > 0 || s.retries != nil || s.pacer != nil && s.pacer.waits
}

// Deadline returns when [Sender.DropExpired] has something to drop, or [Sender.Pump] a
// message to send that the server had refused or that the [Rate] holds back. Zero means
// never. Only the sender of a [Client] keeps that time.
func (s *Sender) Deadline() time.Time {
	var at time.Time
	if len(s.due.places) > 0 {
		at = s.due.places[0].at
	}
	if s.retries != nil && s.link.open {
		at = earlier(at, s.retries.at)
	}
	if s.pacer != nil && s.link.open {
		at = earlier(at, s.pacer.due())
	}
	return at
}

// WaitUntil limits how long o waits to be sent. At that time [Sender.DropExpired] completes
// it with [ErrExpired], as when its expiry interval ends. It does nothing if o is not in the
// queue or was sent before.
func (s *Sender) WaitUntil(o *Outgoing, at time.Time) {
	if o.Queued() && !o.sent {
		s.limitWait(o, at)
	}
}

func (s *Sender) limitWait(o *Outgoing, at time.Time) {
	switch {
	case !s.due.on:
	case o.due == 0:
		s.due.add(o, at)
	case at.Before(s.due.places[o.due-1].at):
		s.due.places[o.due-1].at = at
		s.due.up(int(o.due - 1))
	}
}

// DropExpired completes with [ErrExpired] every message that has expired while it
// waited to be sent, and so frees its place in the queue. Call [Sender.Pump] after it: a
// message that expired may have been in the way of others.
func (s *Sender) DropExpired(now time.Time) {
	if !s.due.on {
		s.searchExpired(now)
		return
	}
	for len(s.due.places) > 0 && !now.Before(s.due.places[0].at) {
		o := s.due.places[0].message
		err := s.expired(o, now)
		s.dequeue(o)
		s.complete(o, Result{Err: err})
	}
}

// expired returns why o may not wait any longer; nil: it may.
func (s *Sender) expired(o *Outgoing, now time.Time) error {
	switch {
	case now.IsZero():
		return nil
	case o.Expires != nil && !now.Before(*o.Expires):
		return afterRefusal(o, ErrExpired)
	case o.due > 0 && !now.Before(s.due.places[o.due-1].at):
		return afterRefusal(o, errTooLong)
	}
	return nil
}

// searchExpired is DropExpired for an owner that seldom calls it.
func (s *Sender) searchExpired(now time.Time) {
	for o := s.queue.head; o != nil; {
		next := o.next
		if !o.sent && o.Expires != nil && !now.Before(*o.Expires) {
			s.dequeue(o)
			s.complete(o, Result{Err: ErrExpired})
		}
		o = next
	}
}

// awaitDue notes when o expires, if it does while it is in the queue. A QoS 0 message
// whose payload is being sent piece by piece has left the queue.
func (s *Sender) awaitDue(o *Outgoing) {
	if s.due.on && o.due == 0 && o.Expires != nil && o.Queued() && o != s.streaming {
		s.due.add(o, *o.Expires)
	}
}

func (d *dueMessages) add(o *Outgoing, at time.Time) {
	d.places = append(d.places, dueMessage{at, o})
	o.due = int32(len(d.places))
	d.up(len(d.places) - 1)
}

// remove takes out a message that leaves the queue.
func (d *dueMessages) remove(o *Outgoing) {
	i, last := int(o.due-1), len(d.places)-1
	d.swap(i, last)
	d.places[last] = dueMessage{}
	d.places = d.places[:last]
	o.due = 0
	if i < last {
		d.down(i)
		d.up(i)
	}
	if last == 0 && cap(d.places) > keptDue {
		d.places = nil
	}
}

func (d *dueMessages) up(i int) {
	for i > 0 && d.before(i, (i-1)/2) {
		d.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (d *dueMessages) down(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(d.places) && d.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		d.swap(i, least)
		i = least
	}
}

// before says which of two messages leaves first. At the same time it is the one that was
// submitted first.
func (d *dueMessages) before(i, j int) bool {
	a, b := &d.places[i], &d.places[j]
	if c := a.at.Compare(b.at); c != 0 {
		return c < 0
	}
	return a.message.seq < b.message.seq
}

func (d *dueMessages) swap(i, j int) {
	p := d.places
	p[i], p[j] = p[j], p[i]
	p[i].message.due, p[j].message.due = int32(i+1), int32(j+1)
}

// ageExpiry sets the message expiry interval of o to what is left of it. Before 5.0 there
// is no such property: the interval then bounds only how long o waits.
func (s *Sender) ageExpiry(o *Outgoing) {
	p := o.Publish.Properties
	if p == nil || p.MessageExpiryInterval == nil {
		return
	}
	if s.link.Version < wire.V5 {
		o.Publish.Properties = withoutExpiry(p)
		return
	}
	if o.Expires == nil || s.now.IsZero() {
		return
	}
	seconds := uint32((o.Expires.Sub(s.now) + time.Second - 1) / time.Second)
	if *p.MessageExpiryInterval != seconds {
		aged := *p
		aged.MessageExpiryInterval = &seconds
		o.Publish.Properties = &aged
	}
}

// withoutExpiry returns p without its message expiry interval. It leaves p alone.
func withoutExpiry(p *wire.PublishProperties) *wire.PublishProperties {
	q := *p
	q.MessageExpiryInterval = nil
	return &q
}
