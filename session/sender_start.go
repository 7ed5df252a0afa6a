package session

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Start begins a connection. If resumed is true, the peer still has the session, and
// messages that it did not acknowledge are sent again under the same identifiers.
// Otherwise they are sent as new messages, before the queue.
func (s *Sender) Start(resumed bool, now time.Time) {
	kind := Fresh
	if resumed {
		kind = Proven
	}
	s.start(kind, now)
}

// start begins a connection with a session of this kind.
func (s *Sender) start(kind Continuity, now time.Time) {
	s.countNone()
	s.quota.limit = int(s.link.Limits.ReceiveMaximum)
	if s.quota.max > 0 {
		s.quota.limit = min(s.quota.limit, s.quota.max)
	}
	switch kind {
	case Fresh:
		s.sessionLost()
		s.inherited = inherited{}
	case Inherited:
		s.sessionLost()
		s.inherited = inherited{any: true}
	case Doubtful:
		s.beginDoubt()
		s.repeat()
	case Proven:
		s.repeat()
	}
	s.Pump(now)
}

// countNone begins the quota of a connection. It comes before any message is given up,
// which would otherwise return quota that it took on an earlier connection.
func (s *Sender) countNone() {
	s.quota.used, s.quota.bytes = 0, 0
	for _, l := range []*outgoingList{&s.published, &s.released} {
		for o := l.head; o != nil; o = o.next {
			o.counted = false
		}
	}
}

// repeat obeys [MQTT-4.4.0-1]. PUBRELs go first and take no quota, because they
// finish messages that the peer already has.
func (s *Sender) repeat() {
	s.publishDoubtful()
	for o := s.published.head; o != nil; o = o.next {
		o.Publish.Duplicate = true
	}
	s.precede()
	s.resend = s.published.head
	s.rerelease, s.probeDue = s.released.head, true
	s.doubt.open = true
}

// releaseAgain repeats PUBRELs, [MQTT-4.6.0-4] in the order in which the PUBRECs came.
func (s *Sender) releaseAgain() {
	for o := s.rerelease; o != nil; o = s.rerelease {
		// Recorded sends the PUBRELs that wait for their records.
		if !o.unanswered && !s.awaitsRecord(o) {
			if !s.mayBegin(o) {
				return
			}
			s.releaseMessage(o)
		}
		s.rerelease = o.next
	}
	if s.probeDue && !s.suspicion.alone {
		s.probeDue = false
		s.probe()
	}
}

// releaseMessage sends PUBREL for o.
func (s *Sender) releaseMessage(o *Outgoing) {
	s.link.pubrel(o.Publish.PacketID, wire.Success)
	s.markSent(o)
}

// repeating reports whether messages are still to be sent again.
func (s *Sender) repeating() bool { return s.resend != nil || s.rerelease != nil }

// sessionLost ends the exchanges of a session that the server does not continue.
func (s *Sender) sessionLost() {
	if s.failLost {
		for _, l := range []*outgoingList{&s.published, &s.released} {
			for l.head != nil {
				s.finish(l.head, l, Result{Err: ErrSessionLost})
			}
		}
	}
	s.Renew()
}

// Renew forgets the session. Messages that were sent and not completed become new
// messages at the head of the queue, in the order of their first sending.
func (s *Sender) Renew() {
	s.requeue(func(*Outgoing) bool { return true })
	s.ids.freeAbandoned()
	if s.journal != nil {
		s.journal.FreeAbandoned()
	}
	s.resend, s.rerelease, s.probeDue, s.quota.used, s.quota.bytes = nil, nil, false, 0, 0
}

// requeue makes new messages of the sent and uncompleted ones that match.
func (s *Sender) requeue(match func(*Outgoing) bool) {
	var open []*Outgoing
	for _, l := range []*outgoingList{&s.published, &s.released} {
		for o := l.head; o != nil; {
			next := o.next
			if match(o) {
				l.remove(o)
				s.ids.freeMessage(o)
				o.Publish.Duplicate = false
				o.counted, o.recorded, o.doubtful = false, false, false
				s.markUnsent(o)
				if o.unknown {
					o.recorded = true // its identifier is, and no longer
					s.complete(o, Result{})
					o = next
					continue
				}
				s.noteExchange(o)
				o.state = outgoingQueued
				s.queuedBytes += o.size()
				open = append(open, o)
			}
			o = next
		}
	}
	sortBySeq(open)
	if first := s.queue.head; len(open) > 0 && first != nil && first.seq < open[len(open)-1].seq {
		s.queue.merge(slices.Clip(open)) // open stays as it is
	} else {
		s.queue.prepend(open)
	}
	if s.retries != nil {
		s.retries.next = s.queue.head
	}
	if len(open) > 0 {
		s.renewed = max(s.renewed, open[len(open)-1].seq)
		s.unreserve(s.queue.head)
	}
	for _, o := range open {
		s.awaitDue(o)
	}
}

func sortBySeq(list []*Outgoing) {
	slices.SortFunc(list, func(a, b *Outgoing) int { return cmp.Compare(a.seq, b.seq) })
}
