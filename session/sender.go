package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Sender is the half of a session that sends application messages: the queue
// of those not sent yet, those the peer has not acknowledged, and the send
// quota. The zero value is not ready; use [NewSender].
//
// All messages go through one queue in the order of Submit. A message gets its
// packet identifier when it is sent, so the queue may be longer than there are
// identifiers.
type Sender struct {
	link *Link
	ids  idTable

	queue     outgoingList // not sent yet
	published outgoingList // PUBLISH sent, in the order of the first sending
	released  outgoingList // PUBREL sent, in the order of the PUBRECs
	streaming *Outgoing    // at QoS 0, with a payload that is still needed
	resend    *Outgoing    // the next message of published to repeat on this connection
	rerelease *Outgoing    // the next message of released to repeat; these go first
	probeDue  bool         // the probe follows behind them

	quota       quota
	suspicion   suspicion
	queuedBytes int
	due         dueMessages
	unsent      [2]load                 // the part of queue that was never sent: at QoS 0, and above
	oldest      [2]*Outgoing            // likewise, where in queue to begin to look for them
	latest      [2]map[string]*Outgoing // likewise, by topic; nil: see KeepLatest
	lost        uint64                  // see Lost
	tolerate    func(*wire.Error)       // see ClientSettings.Tolerate
	seq         uint64
	now         time.Time
	completed   []*Outgoing
	records     *unrecorded // nil until there is a durable message
	inherited   inherited
	doubt       doubt
	failLost    bool          // see ClientSettings.FailLost
	gate        func() uint64 // see SetGate; nil: open
	journal     Journal       // see ClientSettings.Journal
	retry       Retry         // see ClientSettings.Retry
	retryFor    time.Duration // see ClientSettings.RetryFor
	retries     *retries      // nil: no message waits because of a refusal
	pacer       *pacer        // see ClientSettings.Rate; nil: there is no limit
	lower       bool          // see ClientSettings.LowerQoS
	counts      senderCounts
	renewed     uint64 // messages up to this number may have been sent under another identifier
}

// quota counts the open QoS 1 and 2 messages of one connection.
type quota struct {
	limit, used int
	max         int // the caller's own limit; 0: none
	bytes       int // of the messages that are counted
	maxBytes    int // the caller's limit for them; 0: none
}

func (q *quota) free() bool { return q.used < q.limit }

// takes reports whether o may be open besides the others. A single message always
// may.
func (q *quota) takes(o *Outgoing) bool {
	return q.free() && (q.maxBytes == 0 || q.bytes == 0 || q.bytes+o.size() <= q.maxBytes)
}

// NewSender returns a sender that writes to link. It keeps at most inflight QoS 1 and
// 2 messages open, whatever the peer allows. Zero means that only the peer limits
// them.
func NewSender(link *Link, inflight int) *Sender {
	return &Sender{link: link, quota: quota{max: inflight}}
}

// Submit takes over o and sends it as soon as order, quota and the buffer allow. now
// may be zero if o does not expire.
func (s *Sender) Submit(o *Outgoing, now time.Time) {
	if s.journal == nil || !o.numbered() { // otherwise ReserveNumber has done so
		s.seq++
		o.seq = s.seq
	}
	// [MQTT-4.3.2-2], [MQTT-4.3.3-2] this is a new message, even if o or its PUBLISH was
	// used before.
	if s.endReservation(o) != outgoingReserved {
		o.Publish.PacketID, o.recorded = 0, false
	}
	o.state = outgoingQueued
	o.sent, o.unanswered, o.blames, o.result = false, false, blames{}, nil
	o.Publish.Duplicate = false
	o.cost = o.Publish.Cost()
	s.queue.push(o)
	if s.retries != nil {
		s.retries.joined(o)
	}
	if o.recorded && (o.prev != nil && !o.prev.recorded || s.retries.topic(o) != nil) {
		s.unreserve(o)
	}
	s.queuedBytes += o.size()
	s.enter(o)
	s.Pump(now)
	s.awaitDue(o) // if it was not sent
}

// Withdraw takes o back if it was never sent, and reports whether it did.
func (s *Sender) Withdraw(o *Outgoing) bool {
	if o.state != outgoingQueued || o.sent {
		return false
	}
	s.dequeue(o)
	if o.Publish.PacketID != 0 {
		s.ids.freeMessage(o)
	}
	held := s.retries.topic(o) != nil
	if held {
		s.retries.completed(s, o)
	}
	o.state = outgoingIdle
	s.noteEnd(o)
	if held {
		s.Pump(time.Time{}) // others may have waited behind it
	}
	return true
}

// Completed appends the messages completed since the last call to dst.
func (s *Sender) Completed(dst []*Outgoing) []*Outgoing {
	if len(s.completed) == 0 {
		return dst
	}
	dst = append(dst, s.completed...)
	clear(s.completed)
	s.completed = s.completed[:0]
	return dst
}

// Queued returns how many messages wait for their first transmission, and
// their size in bytes.
func (s *Sender) Queued() (messages, bytes int) { return s.queue.len, s.queuedBytes }

// Inflight returns how many QoS 1 and 2 messages are sent and not completed.
func (s *Sender) Inflight() int { return s.published.len + s.released.len }

// LastSeq returns the number of the last submitted message.
func (s *Sender) LastSeq() uint64 { return s.seq }

// Outstanding returns how many messages up to number seq are not completed.
func (s *Sender) Outstanding(seq uint64) int {
	n := 0
	for _, l := range []*outgoingList{&s.queue, &s.published, &s.released} {
		for o := l.head; o != nil; o = o.next {
			if o.seq <= seq {
				n++
			}
		}
	}
	if o := s.streaming; o != nil && o.seq <= seq {
		n++
	}
	return n
}

// Stop ends the connection. byPeer says that the peer closed it. The messages that
// the peer had got and not answered then become suspicious.
func (s *Sender) Stop(byPeer bool) {
	if byPeer {
		s.judge(errHungUp, time.Time{})
	}
	s.lost += uint64(len(s.link.account.lossy))
	s.link.account.lossy = nil
	s.cutStream(ErrConnectionLost)
	s.stopReleasing()
	s.endProbe()
	s.resend, s.rerelease, s.probeDue = nil, nil, false
	for _, l := range []*outgoingList{&s.published, &s.released} {
		for o := l.head; o != nil; o = o.next {
			o.unanswered = false
		}
	}
	s.suspicion.watch = watch{}
	s.counts.sample = sample{}
}

// Lost returns how many QoS 0 messages went to connections that ended before they
// were written.
func (s *Sender) Lost() uint64 { return s.lost }

// Pump sends what order, quota and the buffer allow: first the repeats, then the
// queue. Call it after bytes were taken from the link.
func (s *Sender) Pump(now time.Time) {
	if !now.IsZero() {
		s.now = now
	}
	s.streamCopied()
	if !s.link.open {
		return
	}
	if s.retries != nil {
		s.retries.wake(s)
	}
	if s.pacer != nil {
		s.pacer.waits = false
	}
	last := s.lastPassable()
	s.releaseAgain()
	if s.undecided() {
		return
	}
	for s.rerelease == nil && s.resend != nil && s.resend.seq <= last && s.mayPublish(s.resend) {
		o := s.resend
		if s.retries != nil && s.isNoRepeat(o) {
			s.giveBack(o)
			continue
		}
		if !s.pacer.lets(s.now) {
			return
		}
		s.resend = o.next
		s.publishAgain(o)
	}
	for !s.repeating() && !s.link.full() {
		o := s.queue.head
		if s.retries != nil {
			o = s.retries.first(s)
		}
		if o == nil || o.seq > last {
			return
		}
		if o.Publish.QoS == wire.AtMostOnce && s.link.holdQoS0 || o.Publish.QoS > wire.AtMostOnce && !s.mayPublish(o) {
			return
		}
		if !s.pacer.lets(s.now) || !s.publish(o) {
			return
		}
	}
}

// mayPublish obeys [MQTT-4.9.0-2]: no QoS 1 or 2 PUBLISH without quota.
func (s *Sender) mayPublish(o *Outgoing) bool {
	return s.quota.takes(o) && !s.link.full() && s.mayBegin(o)
}

// mayBegin reports whether a packet of o may be sent, considering the suspects.
func (s *Sender) mayBegin(o *Outgoing) bool {
	c := &s.suspicion
	return !c.pending() || c.mayBegin(o.suspect()) && (c.lenient || !c.asked)
}

// publish sends the message at the head of the queue for the first time. It returns
// false if the message has to wait: for a packet identifier, for its record, or for
// the peer to release the identifier.
func (s *Sender) publish(o *Outgoing) bool {
	if err := s.ready(o); err != nil {
		s.dequeue(o)
		s.complete(o, Result{Err: err})
		return true
	}
	if o.Publish.QoS == wire.AtMostOnce {
		s.dequeue(o)
		err := s.sendPublish(o, true)
		o.sent = err == nil
		if o.sent && s.link.stream.owner == o {
			s.streaming = o // until its payload is no longer needed
			o.end = s.link.position()
			return true
		}
		if o.sent {
			s.link.sentAtMostOnce(s.link.position())
		}
		s.complete(o, Result{Err: err})
		return true
	}
	if s.awaitsRecord(o) {
		s.requestRecords(o)
		return false
	}
	if o.Publish.PacketID == 0 {
		id := s.ids.takeForMessage()
		if id == 0 {
			return false
		}
		s.ids.messages[id] = o
		o.Publish.PacketID = id
	}
	if o.Publish.QoS == wire.ExactlyOnce && s.inherited.holds(o.Publish.PacketID) {
		s.releaseAhead(o)
		return false
	}
	s.dequeue(o)
	if err := s.sendPublish(o, true); err != nil {
		s.ids.freeMessage(o)
		s.complete(o, Result{Err: err})
		return true
	}
	if o.sent {
		s.counts.repeated++
	}
	s.counts.take(o)
	o.state = outgoingPublished
	o.sent = true
	s.published.push(o)
	if !o.recorded {
		s.noteExchange(o)
	}
	s.count(o)
	s.markSent(o)
	return true
}

// ready checks what may have changed while o waited: its age and the limits of the
// connection. It sets the message expiry interval to the remaining time.
func (s *Sender) ready(o *Outgoing) error {
	if o.Expires != nil || o.due > 0 {
		if err := s.expired(o, s.now); err != nil {
			return err
		}
	}
	s.ageExpiry(o)
	return s.fitMessage(o)
}

// publishAgain repeats a PUBLISH of an earlier connection with its identifier and
// DUP. [MQTT-4.3.3-7] its age no longer matters, but a limit of the new connection
// does: a message that the peer can no longer take fails alone.
func (s *Sender) publishAgain(o *Outgoing) {
	if s.link.Version < wire.V5 {
		s.ageExpiry(o)
	}
	err := s.fitMessage(o)
	if err == nil {
		err = s.sendPublish(o, false)
	}
	if err != nil {
		s.giveUp(o, err)
		return
	}
	if o.Publish.Duplicate {
		s.counts.repeated++
	}
	s.counts.take(o)
	s.count(o)
	s.markSent(o)
}

// giveUp ends an exchange without an answer of the peer. The peer may know the
// identifier of a QoS 2 message. The identifier then stays taken, because the peer
// would take another message under it for a repeat.
func (s *Sender) giveUp(o *Outgoing, err error) {
	if o.state == outgoingReleased {
		s.released.remove(o)
	} else {
		s.published.remove(o)
	}
	s.markAnswered(o)
	s.uncount(o)
	if o.Publish.QoS == wire.ExactlyOnce {
		if s.journal != nil {
			s.journal.Abandon(o.Publish.PacketID)
		}
		s.ids.abandon(o)
	} else {
		s.ids.freeMessage(o)
	}
	s.complete(o, Result{Err: err})
}

func (s *Sender) count(o *Outgoing) {
	o.counted = true
	s.quota.used++
	s.quota.bytes += o.size()
}

func (s *Sender) uncount(o *Outgoing) {
	if o.counted {
		o.counted = false
		s.quota.used--
		s.quota.bytes -= o.size()
	}
}

func (s *Sender) dequeue(o *Outgoing) {
	if s.retries != nil {
		s.retries.left(o)
	}
	for c := range s.oldest {
		if s.oldest[c] == o {
			s.oldest[c] = o.next
		}
	}
	s.queue.remove(o)
	s.queuedBytes -= o.size()
	if o.due > 0 {
		s.due.remove(o)
	}
	if !o.sent {
		s.leave(o)
	}
}

// finish ends an exchange and frees its identifier and its quota.
func (s *Sender) finish(o *Outgoing, from *outgoingList, r Result) {
	s.endExchange(o, from)
	s.complete(o, r)
}

// endExchange takes o out of from.
func (s *Sender) endExchange(o *Outgoing, from *outgoingList) {
	if s.resend == o {
		s.resend = o.next
	}
	if s.rerelease == o {
		s.rerelease = o.next
	}
	s.markAnswered(o)
	s.detachStream(o)
	from.remove(o)
	s.ids.freeMessage(o)
	s.uncount(o)
}

func (s *Sender) complete(o *Outgoing, r Result) {
	o.Complete(r)
	s.completeAs(o)
}

// completeAs completes o with the result that it has.
func (s *Sender) completeAs(o *Outgoing) {
	if o.Publish.PacketID != 0 {
		s.ids.freeMessage(o) // the message was never sent
	}
	s.clearUnanswered(o)
	s.counts.drop(o)
	if s.retries != nil {
		s.retries.completed(s, o)
	}
	o.state = outgoingIdle
	s.noteEnd(o)
	if o.unknown {
		return // it belongs to nobody
	}
	s.completed = append(s.completed, o)
}
