package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Outgoing is one application message on its way to the peer. The caller sets Publish
// (without PacketID and Duplicate), Expires and Owner and passes it to
// [Sender.Submit]. It must not change the message until it comes back as completed.
// The engine only reads what Publish points to.
type Outgoing struct {
	Publish wire.Publish
	Expires *time.Time // when the message expiry interval runs out; nil: never
	Owner   any        // the caller's own; the engine does not look at it
	Durable bool       // the caller keeps a record of the message, see Sender.Unrecorded

	unknown    bool // see ContinueIdentifier
	recorded   bool // the record is up to date for the next step
	state      outgoingState
	sent       bool // was passed to a connection at least once
	counted    bool // counts in the send quota of this connection
	doubtful   bool // PUBREC came from a session that the peer may have lost, see Doubtful
	unanswered bool // was sent on this connection and is not answered
	blames     blames
	due        int32   // its place in Sender.due, from 1; 0: none
	end        uint64  // position on this connection where its last packet ends
	result     *Result // nil: none yet, or success without further information
	seq        uint64
	cost       int // see size
	prev, next *Outgoing
}

// Result is how an exchange ended.
type Result struct {
	Err            error           // nil: accepted by the peer (QoS 0: handed to the connection)
	ReasonCode     wire.ReasonCode // of PUBACK, PUBREC or PUBCOMP
	ReasonString   string
	UserProperties []wire.UserProperty
}

type outgoingState uint8

const (
	outgoingIdle      outgoingState = iota // not in the sender
	outgoingNumbered                       // has its place in the order, but is not in the sender yet
	outgoingAwaited                        // was refused an identifier, and is not in the sender yet
	outgoingReserved                       // has an identifier, but is not in the sender yet
	outgoingQueued                         // waits for a connection, for quota or for the buffer
	outgoingPublished                      // PUBLISH sent; waits for PUBACK or PUBREC
	outgoingReleased                       // PUBREL sent; waits for PUBCOMP
)

// Expiry is Expires; zero: never.
func (o *Outgoing) Expiry() time.Time {
	if o.Expires == nil {
		return time.Time{}
	}
	return *o.Expires
}

// ExpiresAt is an Expires; nil if at is zero.
func ExpiresAt(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return new(at)
}

// numbered reports whether the message has a number and is not submitted yet.
func (o *Outgoing) numbered() bool { return o.state > outgoingIdle && o.state < outgoingQueued }

// Queued reports whether the message still waits for its first transmission.
func (o *Outgoing) Queued() bool { return o.state == outgoingQueued }

// Sent reports whether the message was ever passed to a connection. If it was not,
// the peer cannot have seen it.
func (o *Outgoing) Sent() bool { return o.sent }

// Err is the Err of Result.
func (o *Outgoing) Err() error {
	if o.result == nil {
		return nil
	}
	return o.result.Err
}

// Result returns how the exchange ended, once the message is completed.
func (o *Outgoing) Result() Result {
	if o.result == nil {
		return Result{}
	}
	return *o.result
}

// Complete sets the result of a message that is not in a [Sender].
func (o *Outgoing) Complete(r Result) {
	o.result = nil
	if r.Err != nil || r.ReasonCode != wire.Success || r.ReasonString != "" || r.UserProperties != nil {
		kept := r // only now does it move to the heap
		o.result = &kept
	}
}

// Seq numbers messages in the order in which they were submitted, from 1.
func (o *Outgoing) Seq() uint64 { return o.seq }

// size returns the cost of the message when it was submitted. Its properties may change
// while it waits.
func (o *Outgoing) size() int { return o.cost }

// outgoingList is a list through the messages themselves. Adding allocates nothing,
// and removing from the middle takes constant time.
type outgoingList struct {
	head, tail *Outgoing
	len        int
}

func (l *outgoingList) push(o *Outgoing) {
	o.prev, o.next = l.tail, nil
	if l.tail == nil {
		l.head = o
	} else {
		l.tail.next = o
	}
	l.tail = o
	l.len++
}

func (l *outgoingList) remove(o *Outgoing) {
	if o.prev == nil {
		l.head = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		l.tail = o.prev
	} else {
		o.next.prev = o.prev
	}
	o.prev, o.next = nil, nil
	l.len--
}

// prepend puts the messages of front, in their order, before those of l.
func (l *outgoingList) prepend(front []*Outgoing) {
	for i := len(front) - 1; i >= 0; i-- {
		o := front[i]
		o.prev, o.next = nil, l.head
		if l.head == nil {
			l.tail = o
		} else {
			l.head.prev = o
		}
		l.head = o
		l.len++
	}
}

// suspect reports whether PUBLISH or PUBREL of the message is a suspect. Both are
// then sent alone.
func (o *Outgoing) suspect() bool { return o.blames[0].suspect() || o.blames[1].suspect() }

// present returns the blame of the packet that is under way or next.
func (o *Outgoing) present() *blame {
	if o.state == outgoingReleased {
		return &o.blames[1]
	}
	return &o.blames[0]
}

// insert puts o in its place by number.
func (l *outgoingList) insert(o *Outgoing) {
	at := l.head
	for at != nil && at.seq < o.seq {
		at = at.next
	}
	l.insertBefore(o, at)
}

// insertBefore puts o before at; nil: at the end.
func (l *outgoingList) insertBefore(o, at *Outgoing) {
	if at == nil {
		l.push(o)
		return
	}
	o.prev, o.next = at.prev, at
	if at.prev == nil {
		l.head = o
	} else {
		at.prev.next = o
	}
	at.prev = o
	l.len++
}
