package session

import (
	"errors"
	"fmt"

	"github.com/seed65a45251/mqtt/wire"
)

// invariants says what is wrong inside the engine, if anything.
func invariants(c *Client) error {
	return errors.Join(senderInvariants(c.Sender), receiverInvariants(c.Receiver))
}

func senderInvariants(s *Sender) error {
	open := map[*Outgoing]bool{}
	counted, countedBytes, bytes, flying, suspects := 0, 0, 0, 0, 0
	var unsent [2]load
	for _, l := range []struct {
		name  string
		list  *outgoingList
		state outgoingState
	}{
		{"queue", &s.queue, outgoingQueued},
		{"published", &s.published, outgoingPublished},
		{"released", &s.released, outgoingReleased},
	} {
		n := 0
		var last *Outgoing
		for o := l.list.head; o != nil; o = o.next {
			if open[o] {
				return fmt.Errorf("%s holds a message twice", l.name)
			}
			open[o] = true
			n++
			if o.prev != last {
				return fmt.Errorf("%s: broken backward link", l.name)
			}
			last = o
			if o.state != l.state {
				return fmt.Errorf("%s: message in state %d", l.name, o.state)
			}
			if o.unanswered {
				flying++
			}
			if o.suspect() {
				suspects++
			}
			if l.state == outgoingQueued {
				bytes += o.size()
				if !o.sent {
					unsent[min(o.Publish.QoS, 1)].add(o, 1)
				}
				if id := o.Publish.PacketID; o.counted || id != 0 && !(s.inherited.any && s.ids.messages[id] == o) {
					return fmt.Errorf("queued message with quota %t and identifier %d", o.counted, o.Publish.PacketID)
				}
				continue
			}
			if o.counted {
				counted++
				countedBytes += o.size()
			}
			if o.Publish.QoS == wire.AtMostOnce || s.ids.message(o.Publish.PacketID) != o || o.Publish.PacketID == 0 {
				return fmt.Errorf("%s: identifier %d of an open message is not its own", l.name, o.Publish.PacketID)
			}
		}
		if l.list.tail != last || l.list.len != n {
			return fmt.Errorf("%s: tail or length is wrong (%d, %d)", l.name, l.list.len, n)
		}
	}
	if unsent != s.unsent {
		return fmt.Errorf("unsent %v, counted %v", unsent, s.unsent)
	}
	if err := waitingInvariants(s); err != nil {
		return err
	}
	flying += len(s.ids.requests) + len(s.inherited.open)
	if s.doubt.probe != 0 {
		flying++
	}
	if s.link.open && flying != s.suspicion.unanswered {
		return fmt.Errorf("%d packets have no answer, counted %d", flying, s.suspicion.unanswered)
	}
	if s.link.open && suspects != s.suspicion.suspects {
		return fmt.Errorf("%d messages are suspects, counted %d", suspects, s.suspicion.suspects)
	}
	if bytes != s.queuedBytes {
		return fmt.Errorf("%d bytes queued, counted %d", bytes, s.queuedBytes)
	}
	if s.link.open && counted != s.quota.used {
		return fmt.Errorf("quota says %d, %d messages hold it", s.quota.used, counted)
	}
	if s.link.open && countedBytes != s.quota.bytes {
		return fmt.Errorf("quota says %d bytes, the messages that hold it have %d", s.quota.bytes, countedBytes)
	}
	if s.quota.used < 0 || s.link.open && s.quota.used > s.quota.limit {
		return fmt.Errorf("quota %d of %d", s.quota.used, s.quota.limit)
	}
	if s.resend != nil && s.resend.state != outgoingPublished {
		return errors.New("resend points at a message that is not published")
	}
	if err := retryInvariants(s, open); err != nil {
		return err
	}
	used := len(s.ids.requests)
	for id, o := range s.ids.messages {
		if o == nil {
			continue
		}
		used++
		if o == abandoned || o == probing && id == int(s.doubt.probe) {
			continue
		}
		if !open[o] || int(o.Publish.PacketID) != id {
			return fmt.Errorf("identifier %d is held by a message that is not open", id)
		}
		if s.ids.requests[uint16(id)] != nil {
			return fmt.Errorf("identifier %d stands for a message and a request", id)
		}
	}
	if used != s.ids.used {
		return fmt.Errorf("%d identifiers in use, counted %d", used, s.ids.used)
	}
	for _, o := range s.completed {
		if o.state != outgoingIdle || open[o] {
			return errors.New("completed message is still open")
		}
	}
	return nil
}

func receiverInvariants(r *Receiver) error {
	listed := map[*incoming]bool{}
	var last *incoming
	for in := r.arrived.head; in != nil; in = in.next {
		if listed[in] || !in.listed || in.prev != last {
			return errors.New("arrived: broken list")
		}
		listed[in] = true
		last = in
		if r.byID.get(in.id) != in {
			return fmt.Errorf("arrived: identifier %d is another's", in.id)
		}
	}
	if r.arrived.tail != last {
		return errors.New("arrived: tail is wrong")
	}
	if in := r.arrived.head; r.link.open && in != nil && in.state == incomingAcknowledged {
		return fmt.Errorf("answer for %d is due and was not sent", in.id)
	}
	open := 0
	found := 0
	for in := range r.byID.all {
		if r.byID.get(in.id) != in || in.listed != listed[in] {
			return fmt.Errorf("byID: entry %d is wrong", in.id)
		}
		found++
		if in.counted {
			open++
		}
	}
	if found != r.byID.len {
		return fmt.Errorf("byID: %d entries, %d noted", found, r.byID.len)
	}
	if open != r.open || r.max > 0 && open > r.max {
		return fmt.Errorf("%d messages count, %d noted, maximum %d", open, r.open, r.max)
	}
	for in := r.unused; in != nil; in = in.next {
		if r.byID.get(in.id) == in && in.id != 0 || in.listed {
			return errors.New("free list holds an entry in use")
		}
	}
	return nil
}

// waitingInvariants checks what else is known of the queue: when messages have to leave it,
// and which are the only ones of their topics.
func waitingInvariants(s *Sender) error {
	due, latest := 0, [2]int{}
	var begun [2]bool
	for o := s.queue.head; o != nil; o = o.next {
		for c := range begun {
			begun[c] = begun[c] || s.oldest[c] == o
		}
		if !o.sent && !begun[classOf(o)] {
			return fmt.Errorf("message %d is older than the oldest of its class", o.seq)
		}
		if o.due > 0 {
			due++
			if s.due.places[o.due-1].message != o {
				return fmt.Errorf("message %d has the place of another among those that expire", o.seq)
			}
		}
		if c := classOf(o); s.latest[c] != nil && !o.sent {
			latest[c]++
			if s.latest[c][o.Publish.Topic] != o {
				return fmt.Errorf("message %d is not the only one of its topic", o.seq)
			}
		}
	}
	if due != len(s.due.places) {
		return fmt.Errorf("%d messages expire, noted %d", due, len(s.due.places))
	}
	for c, n := range latest {
		if n != len(s.latest[c]) {
			return fmt.Errorf("%d topics wait, noted %d", n, len(s.latest[c]))
		}
	}
	return nil
}

func retryInvariants(s *Sender, open map[*Outgoing]bool) error {
	r := s.retries
	if r == nil {
		return nil
	}
	if len(r.topics) == 0 {
		return errors.New("retries without a topic")
	}
	last := uint64(0)
	for topic, t := range r.topics {
		last = 0
		if len(t.refused) == 0 {
			return fmt.Errorf("topic %q is held for nothing", topic)
		}
		for _, m := range t.refused {
			if !open[m.message] || m.message.Publish.Topic != topic || m.message.seq <= last {
				return fmt.Errorf("topic %q: refused message %d is out of place", topic, m.message.seq)
			}
			last = m.message.seq
		}
	}
	passed := true
	last = 0
	for o := s.queue.head; o != nil; o = o.next {
		if o.seq <= last {
			return fmt.Errorf("queue: message %d is out of order", o.seq)
		}
		last = o.seq
		if o == r.next {
			passed = false
		}
		if passed && r.topic(o) == nil {
			return fmt.Errorf("message %d waits for a refusal that is over", o.seq)
		}
	}
	return nil
}
