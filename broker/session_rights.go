package broker

import (
	"github.com/seed65a45251/mqtt/session"
)

// The right to read is checked where messages are sent. The sender of a session has a
// gate ([session.Sender.SetGate]), and every message passes it: live, queued, retained,
// passed on or repeated. The gate is open as long as nothing has changed since the
// subscriptions were examined. A change of the rules closes it, and so does a
// connection that resumes the session. Then a goroutine of the client asks the hooks,
// without holding a lock, about the filters and the waiting messages, and opens the
// gate again.
//
// If a filter is no longer allowed as a whole, the gate stays half open: each message
// is examined before it is sent.

// rights is what is known about the messages that a session may be sent. client.mu
// guards it.
type rights struct {
	epoch   uint64       // counts events, other than a change of the rules, that invalidate the answers
	rules   uint64       // number of the rules that were asked
	known   bool         // the answers hold under rules
	looking bool         // a goroutine is asking
	passed  uint64       // the last message that may be sent, by [session.Outgoing.Seq]
	narrow  *examination // some filter is not allowed as a whole; nil: all are
}

// forget invalidates all answers.
func (r *rights) forget() {
	r.epoch++
	r.known, r.passed, r.narrow = false, 0, nil
}

// setGateLocked sets the gate at the beginning of a connection. Called with client.mu
// held.
func (cl *client) setGateLocked(resumed bool) {
	if len(cl.hub.cfg.Authorizers) == 0 {
		return
	}
	cl.sender.SetGate(cl.gateLocked)
	cl.rights.forget()
	if !resumed {
		// A new session has neither filters nor messages.
		cl.rights.known, cl.rights.rules, cl.rights.passed = true, cl.hub.rules(), session.GateOpen
	}
}

// gateLocked is the gate of the sender. Called with client.mu held.
func (cl *client) gateLocked() uint64 {
	r, h := &cl.rights, cl.hub
	if !r.known || r.rules != h.rules() {
		r.known, r.passed, r.narrow = false, 0, nil
	} else if r.narrow == nil && r.passed == session.GateOpen {
		return session.GateOpen
	} else if r.passed >= cl.sender.LastSeq() {
		return r.passed // nothing waits
	}
	if !r.looking && cl.conn != nil && !cl.conn.failing() && h.ctx.Err() == nil {
		r.looking = true
		h.routines.Go(func() { h.examine(cl) }) // the connection is one of the routines, so Close still waits for them
	}
	return r.passed
}

// checkRightsLocked is called after a subscription was made. asked is the number of the
// rules under which it was allowed. Called with hub.mu held, so that no examination
// misses the subscription.
func (cl *client) checkRightsLocked(asked uint64) {
	if len(cl.hub.cfg.Authorizers) == 0 {
		return
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	r := &cl.rights
	if !r.known || r.narrow != nil || r.rules != asked || asked != cl.hub.rules() {
		r.forget()
	}
}
