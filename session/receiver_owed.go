package session

import "github.com/seed65a45251/mqtt/wire"

// Leave says that a message was not taken because there was no space for it. It gets no
// answer. Unless answers are unordered, no later message gets one either. The peer
// therefore keeps all of them. When a later connection of the session brings the message
// again, it is delivered as a new message. Leave does nothing if t is stale.
func (r *Receiver) Leave(t Token) {
	if in := t.in; in != nil && in.generation == t.generation && in.state == incomingDelivered {
		in.state = incomingLeft
	}
}

// Renounce acknowledges a message of this connection that was passed to Leave and
// that no later connection has to bring again. Otherwise it would hold up the answers
// to all later messages.
func (r *Receiver) Renounce(t Token) {
	if in := t.in; in != nil && in.generation == t.generation && in.state == incomingLeft {
		in.state = incomingAcknowledged
		r.flush(in)
	}
}

// Stale reports whether t can no longer be acknowledged.
func (r *Receiver) Stale(t Token) bool {
	return t.in != nil && t.in.generation != t.generation
}

// Owed returns how many exchanges are not finished although the application has
// acknowledged the message. These are answers that could not be sent yet, because
// there is no connection or because the peer has not repeated the message on this
// one, and QoS 2 messages of this connection between PUBREC and PUBREL. Answers that
// wait for a message that the application still has do not count.
func (r *Receiver) Owed() int {
	n := 0
	for in := range r.byID.all {
		switch in.state {
		case incomingAcknowledged:
			if !in.listed {
				n++
			}
		case incomingReceived:
			if in.qos == wire.ExactlyOnce && in.epoch == r.epoch && r.link.open {
				n++
			}
		case incomingDelivered, incomingDiscarded, incomingLeft:
		}
	}
	return n
}

// Unacknowledged returns how many messages the application has got and not acknowledged,
// and how many it has acknowledged whose answers wait for their turn behind one of those.
// Messages passed to Leave do not count. After EndHere nothing counts that came later and
// is not acknowledged, nor what waits behind such a message.
func (r *Receiver) Unacknowledged() (held, waiting int) {
	for in := range r.byID.all {
		if in.state == incomingDelivered && !in.late {
			held++
		}
	}
	for in := r.arrived.head; in != nil && (!in.late || in.state == incomingAcknowledged); in = in.next {
		if in.state == incomingAcknowledged {
			waiting++
		}
	}
	return held, waiting
}

// EndHere says that the application has begun to end. Of what comes from now on it takes only
// what it still asks for; Unacknowledged says what of that counts.
func (r *Receiver) EndHere() { r.ending = true }

// Full reports whether the peer can send no further QoS 1 or 2 message on this
// connection before one is answered.
func (r *Receiver) Full() bool { return r.max > 0 && r.open >= r.max }

// Open returns how many messages of this connection are not answered.
func (r *Receiver) Open() int { return r.open }
