package session

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Retry decides about o, which the server has refused with code: whether it is sent again,
// and how long it waits before. refused counts the refusals of the first message of its
// topic since the server last answered otherwise. Retry is called within methods of the
// sender and must not call it.
type Retry func(o *Outgoing, code wire.ReasonCode, refused int) (wait time.Duration, again bool)

// retries are the messages that the server has refused for now. Each goes back to its place
// in the queue and is sent again as a new message, alone in its topic: when nothing else of
// the topic is under way. Until it is completed, the later messages of its topic wait
// behind it. Those of other topics pass. So a topic keeps its order, except that what was
// sent before the refusal came may have been accepted.
type retries struct {
	topics map[string]*heldTopic
	next   *Outgoing // all before it in the queue wait for a refusal; nil: all of the queue do
	at     time.Time // none waits for an earlier time than this; zero: for none
}

// heldTopic is a topic with refused messages.
type heldTopic struct {
	refused []refusedMessage // in the order of Submit
	count   int              // see Retry
	at      time.Time        // when the first of them may be sent; zero: at once
}

type refusedMessage struct {
	message *Outgoing
	since   time.Time
	certain bool // the server does not have it from an earlier sending
}

// finishPublished ends the exchange of o, whose PUBLISH the server has answered with r. A
// message that is refused for now goes back to the queue.
func (s *Sender) finishPublished(o *Outgoing, r Result) {
	s.counts.answered(o, s.now)
	if r.Err == nil || !s.putBack(o, r) {
		s.finish(o, &s.published, r)
	}
}

// putBack puts o back in its place in the queue if it is to be sent again.
func (s *Sender) putBack(o *Outgoing, r Result) bool {
	if s.retry == nil || o.state != outgoingPublished || s.awaitsRecords(o) {
		return false
	}
	held, count := s.retries.topic(o), 0
	if held != nil {
		count = held.count
	}
	wait, again := s.retry(o, r.ReasonCode, count)
	if !again {
		return false
	}
	certain := !o.Publish.Duplicate && o.seq > s.renewed && held.certain(o)
	if certain && !s.supersede(o, r.Err) {
		return false
	}
	s.endExchange(o, &s.published)
	s.counts.retried++
	o.Publish.Duplicate, o.state = false, outgoingQueued
	o.Complete(r) // what the server said, until it says something else
	since := s.noteRefusal(o, certain, wait)
	o.sent = !certain
	s.noteExchange(o)
	s.queue.insert(o)
	s.unreserve(o.next)
	s.queuedBytes += o.size()
	if !o.sent {
		s.enter(o)
	}
	s.awaitDue(o)
	if s.retryFor > 0 {
		s.limitWait(o, since.Add(s.retryFor))
	}
	s.retries.next = s.queue.head
	return true
}

// awaitsRecords reports whether o has to wait for records outside of a journal.
func (s *Sender) awaitsRecords(o *Outgoing) bool { return o.Durable && s.journal == nil }

// supersede reports whether o may go back to the queue where KeepLatest keeps one message of
// each topic. An earlier one makes place for it, and ends with err.
func (s *Sender) supersede(o *Outgoing, err error) bool {
	latest := s.latest[classOf(o)][o.Publish.Topic]
	if latest == nil {
		return true
	}
	if latest.seq > o.seq {
		return false
	}
	s.drop(latest, fmt.Errorf("%w: %w", ErrSuperseded, err))
	return true
}

// noteRefusal notes that o waits, or still waits, because of a refusal. It returns since
// when.
func (s *Sender) noteRefusal(o *Outgoing, certain bool, wait time.Duration) (since time.Time) {
	if s.retries == nil {
		s.retries = &retries{topics: make(map[string]*heldTopic)}
	}
	t := s.retries.topic(o)
	if t == nil {
		t = new(heldTopic)
		s.retries.topics[o.Publish.Topic] = t
	}
	i, found := t.find(o)
	if !found {
		t.refused = slices.Insert(t.refused, i, refusedMessage{o, s.now, certain})
	}
	t.refused[i].certain = certain
	if i == 0 && (found || len(t.refused) == 1) {
		t.count++
		t.at = s.now.Add(wait)
		s.retries.at = earlier(s.retries.at, t.at)
	}
	return t.refused[i].since
}

// certain reports whether o was not refused before, or the server did certainly not have it
// then.
func (t *heldTopic) certain(o *Outgoing) bool {
	if t == nil {
		return true
	}
	i, found := t.find(o)
	return !found || t.refused[i].certain
}

// topic returns that of o if it is held; nil: it is not.
func (r *retries) topic(o *Outgoing) *heldTopic {
	if r == nil {
		return nil
	}
	return r.topics[o.Publish.Topic]
}

// find returns the place of o among the refused messages.
func (t *heldTopic) find(o *Outgoing) (int, bool) {
	return slices.BinarySearchFunc(t.refused, o.seq, func(m refusedMessage, seq uint64) int {
		switch {
		case m.message.seq < seq:
			return -1
		case m.message.seq > seq:
			return 1
		}
		return 0
	})
}

// completed notes that o is about to be completed.
func (r *retries) completed(s *Sender, o *Outgoing) {
	t := r.topic(o)
	if t == nil {
		return
	}
	r.next = s.queue.head // others may have waited for it
	i, found := t.find(o)
	if !found {
		return
	}
	t.refused = slices.Delete(t.refused, i, i+1)
	if o.state != outgoingQueued { // the server has answered
		t.count, t.at = 0, time.Time{}
	}
	if len(t.refused) == 0 {
		delete(r.topics, o.Publish.Topic)
	}
	if len(r.topics) == 0 {
		s.retries = nil
	}
}

// afterRefusal is err for a message that the server had refused before.
func afterRefusal(o *Outgoing, err error) error {
	if o.result != nil && o.result.Err != nil {
		return fmt.Errorf("%w, and before: %w", err, o.result.Err)
	}
	return err
}
