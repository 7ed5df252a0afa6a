package session

import "time"

// joined notes that o is at the end of the queue.
func (r *retries) joined(o *Outgoing) {
	if r.next == nil {
		r.next = o
	}
}

// left notes that o leaves the queue.
func (r *retries) left(o *Outgoing) {
	if r.next == o {
		r.next = o.next
	}
}

// wake looks at all messages again if the time of one has come.
func (r *retries) wake(s *Sender) {
	if r.at.IsZero() || s.now.Before(r.at) {
		return
	}
	r.next, r.at = s.queue.head, time.Time{}
	for _, t := range r.topics {
		if t.at.After(s.now) {
			r.at = earlier(r.at, t.at)
		}
	}
}

// first returns the first message of the queue that does not wait for a refusal; nil: there
// is none.
func (r *retries) first(s *Sender) *Outgoing {
	for r.next != nil && r.holds(s, r.next) {
		r.next = r.next.next
	}
	return r.next
}

// holds reports whether o has to wait.
func (r *retries) holds(s *Sender, o *Outgoing) bool {
	t := r.topic(o)
	switch {
	case t == nil || o.seq < t.refused[0].message.seq:
		return false // the session that had it was lost, and it goes before the refused ones
	case o != t.refused[0].message || s.now.Before(t.at):
		return true
	}
	return s.underWay(o.Publish.Topic)
}

// underWay reports whether a message of this topic is sent and not completed.
func (s *Sender) underWay(topic string) bool {
	for _, l := range []*outgoingList{&s.published, &s.released} {
		for o := l.head; o != nil; o = o.next {
			if o.Publish.Topic == topic {
				return true
			}
		}
	}
	return false
}

// Stuck reports whether every message that is left waits because of a refusal. It is for an
// owner that does not want to wait for them.
func (s *Sender) Stuck() bool {
	return s.retries != nil && s.link.open && s.Inflight() == 0 && s.streaming == nil && s.retries.first(s) == nil
}

// Holding reports whether messages wait because of a refusal.
func (s *Sender) Holding() bool { return s.retries != nil }
