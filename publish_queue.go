package mqtt

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/internal/capacity"
	"github.com/seed65a45251/mqtt/session"
)

// publishQueue bounds the messages that wait in a Sender to be sent, and has the
// publishers that wait for capacity. It is guarded by engine.mu.
type publishQueue struct {
	limits  queueLimits
	waiters capacity.Waiters
	waiting func() (messages, bytes int) // what else waits; nil: nothing does

	waitingAtMostOnce func() (messages, bytes int) // what of it is at QoS 0; nil: that does not matter

	unreported capacity.Load // messages that have failed and wait for Config.Undelivered
}

// queueLimits are those of Config.
type queueLimits struct {
	full            WhenFull
	all, atMostOnce capacity.Load
}

func classOf(qos QoS) capacity.Class {
	if qos == AtMostOnce {
		return capacity.AtMostOnce
	}
	return capacity.Acknowledged
}

// admit applies the policy to a message for which there may be no capacity. When it
// returns neither true nor an error, the message has to wait.
func (q *publishQueue) admit(s *session.Sender, topic string, qos QoS, size int) (ok bool, err error) {
	policy := q.limits.full.policy(qos)
	if policy == FullKeepLatest {
		return q.keepLatest(s, topic, qos, size)
	}
	if q.fits(s, qos, size) {
		return true, nil
	}
	switch policy {
	case FullBlock:
		return false, nil
	case FullDropOldest:
		if !q.reports(1, 0) {
			break
		}
		if s.DropOldest(qos > AtMostOnce, q.without(s, qos, size), ErrQueueFull) > 0 {
			return true, nil
		}
	}
	return false, ErrQueueFull
}

// errSuperseded ends a message that FullKeepLatest drops.
var errSuperseded = fmt.Errorf("%w: %w", session.ErrSuperseded, ErrQueueFull)

func (q *publishQueue) keepLatest(s *session.Sender, topic string, qos QoS, size int) (ok bool, err error) {
	enough := q.without(s, qos, size)
	if !q.reports(1, 0) { // nothing can be dropped
		fits := enough
		enough = func(messages, bytes int) bool { return messages == 0 && fits(0, 0) }
	}
	if _, ok = s.KeepLatest(qos > AtMostOnce, topic, enough, errSuperseded); !ok {
		return false, ErrQueueFull
	}
	return true, nil
}

// fits says whether the queue takes a message.
func (q *publishQueue) fits(s *session.Sender, qos QoS, size int) bool {
	if q.waiting == nil && q.unreported.Messages == 0 && !q.waiters.Offers() {
		// As most of the time: this is what each publish costs.
		n, bytes := s.Queued()
		if n == 0 || qos > AtMostOnce && n < q.limits.all.Messages && bytes+size <= q.limits.all.Bytes {
			return true
		}
	}
	free := q.free(s, classOf(qos), capacity.Load{})
	return free.Fits(classOf(qos), size)
}

// without returns a function that says whether the queue would take a message of that size
// without so many messages of its class.
func (q *publishQueue) without(s *session.Sender, qos QoS, size int) func(messages, bytes int) bool {
	c := classOf(qos)
	return func(messages, bytes int) bool {
		free := q.free(s, c, capacity.Load{Messages: messages, Bytes: bytes})
		return free.Fits(c, size)
	}
}

// free is what the queue would take without gone, which are messages of class c, beyond
// what has been offered. As much again as the queue takes may have failed and be waiting
// for Config.Undelivered; more of that takes the place of messages that could be sent.
func (q *publishQueue) free(s *session.Sender, c capacity.Class, gone capacity.Load) capacity.Free {
	var all, own capacity.Load
	all.Add(s.Queued())
	if q.waiting != nil {
		all.Add(q.waiting())
	}
	own.Add(s.Droppable(false)) // at QoS 0 that is all of them
	if q.waitingAtMostOnce != nil {
		own.Add(q.waitingAtMostOnce())
	}
	all.Add(-gone.Messages, -gone.Bytes)
	if c == capacity.AtMostOnce {
		own.Add(-gone.Messages, -gone.Bytes)
	}
	offered := q.waiters.Offered(capacity.AtMostOnce)
	own.Add(offered.Messages, offered.Bytes)
	all.Add(offered.Messages, offered.Bytes)
	offered = q.waiters.Offered(capacity.Acknowledged)
	all.Add(offered.Messages, offered.Bytes)
	all.Add(max(0, q.unreported.Messages-q.limits.all.Messages), max(0, q.unreported.Bytes-q.limits.all.Bytes))
	return capacity.Free{
		All:   q.limits.all.Left(all),
		Class: [2]capacity.Room{capacity.Acknowledged: unlimited, capacity.AtMostOnce: q.limits.atMostOnce.Left(own)},
	}
}

// unlimited is what is left of no limit.
var unlimited = capacity.Room{Load: capacity.Load{Messages: math.MaxInt, Bytes: math.MaxInt}}

// reports says whether Config.Undelivered can be told of so much more.
func (q *publishQueue) reports(messages, bytes int) bool {
	u := q.unreported
	return u.Messages == 0 || u.Messages+messages <= q.limits.all.Messages && u.Bytes+bytes <= q.limits.all.Bytes
}

// offer lets those publishers try again for whom there is capacity: it appends their
// channels to dst.
func (q *publishQueue) offer(dst []chan struct{}, s *session.Sender) []chan struct{} {
	free := q.free(s, capacity.AtMostOnce, capacity.Load{})
	return q.waiters.Offer(dst, &free)
}

// QueueLimits bound the messages of one class within the queue.
type QueueLimits struct {
	// Messages is how many wait at most. Zero means Config.QueueMessages. Negative means
	// none: each is sent at once or fails, as with Message.NotQueued.
	Messages int
	// Bytes is how much they take in memory. Zero means Config.QueueBytes. A message of
	// any size may wait alone.
	Bytes int
	// Age is how long each waits. Zero means Config.QueueAge.
	Age time.Duration
}

func (l *QueueLimits) validate() error {
	switch {
	case l.Bytes < 0:
		return invalid("Config.QueueAtMostOnce.Bytes", "%d is negative", l.Bytes)
	case l.Age < 0:
		return invalid("Config.QueueAtMostOnce.Age", "%v is negative", l.Age)
	case l.Messages < 0 && (l.Bytes > 0 || l.Age > 0):
		return invalid("Config.QueueAtMostOnce", "%w", errors.New("limits what waits although none may wait"))
	}
	return nil
}

// FullPolicy decides about a message to be published for which the queue of messages
// that wait to be sent has no space.
type FullPolicy uint8

// What to do when the queue is full. Only messages that were never sent are dropped, and
// only if the new one fits then. A dropped message fails with ErrQueueFull: its Publish or
// its Delivery says so, Config.Undelivered is told, and Stats counts it.
const (
	FullBlock      FullPolicy = iota // wait for space under the context of the call
	FullFail                         // return ErrQueueFull at once
	FullDropOldest                   // drop what has waited longest of the same class and is needed to make room; fail if there is none
	FullDropNewest                   // drop this message: PublishAsync returns a Delivery that has failed

	// FullKeepLatest drops each message of the same class for whose topic there is a later
	// one. From then on until none of the class waits, a new message takes the place of that
	// of its topic. If it has no room all the same, it fails. With a Store only messages in
	// memory, about a thousand, are looked at.
	FullKeepLatest
)

// WhenFull has a policy for each class of messages. The classes share the queue.
type WhenFull struct {
	AtMostOnce   FullPolicy // QoS 0
	Acknowledged FullPolicy // QoS 1 and 2
}

func (w WhenFull) policy(qos QoS) FullPolicy {
	if qos == AtMostOnce {
		return w.AtMostOnce
	}
	return w.Acknowledged
}

// flush waits until all messages up to a number are out of the way.
type flush struct {
	seq       uint64
	remaining int
	patient   bool  // it waits for messages that the server refuses for now
	err       error // set before done is closed: the client ended first
	done      chan struct{}
}

// flushes are the calls of Flush that wait. They are guarded by engine.mu.
type flushes []*flush

// remove takes out f.
func (all *flushes) remove(f *flush) {
	*all = slices.DeleteFunc(*all, func(g *flush) bool { return g == f })
}

// fail has all return err: what they wait for fails now.
func (all flushes) fail(err error) {
	for _, f := range all {
		f.err = err
	}
}

// giveUp ends those that are not patient. It appends them to dst.
func (all *flushes) giveUp(dst []*flush) []*flush {
	*all = slices.DeleteFunc(*all, func(f *flush) bool {
		if !f.patient {
			f.err = f.refused()
			dst = append(dst, f)
		}
		return !f.patient
	})
	return dst
}

// refused is the error of a flush that gives up.
func (f *flush) refused() error {
	return fmt.Errorf("%d messages are left, which the server refuses for now", f.remaining)
}

// count notes that message seq is out of the way. It appends to dst, and takes out,
// those that wait for nothing else.
func (all *flushes) count(dst []*flush, seq uint64) []*flush {
	*all = slices.DeleteFunc(*all, func(f *flush) bool {
		if seq > f.seq {
			return false
		}
		if f.remaining--; f.remaining > 0 {
			return false
		}
		dst = append(dst, f)
		return true
	})
	return dst
}
