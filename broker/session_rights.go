package broker

import (
	"github.com/seed65a45251/mqtt/session"
)

// What a client may read is asked for where it is used: the sender of its session has a
// gate ([session.Sender.SetGate]), through which everything goes that is sent, live,
// queued, retained, passed on or repeated. The gate is open while nothing has changed
// since the subscriptions were looked at. It closes with a change of the rules and a
// login that goes on with the session; then a goroutine of the client asks the hooks,
// without any lock, about its filters and what waits for it, and opens the gate again.
//
// A filter that is not allowed any more as a whole leaves the gate half open: then each
// message is looked at before it is sent.

// rights are what is known about what a session may be sent. client.mu guards them.
type rights struct {
	epoch   uint64       // counts what makes answers worthless, beside the rules
	rules   uint64       // those that were asked
	known   bool         // the answers are good for rules
	looking bool         // a goroutine asks
	passed  uint64       // the last message that may be sent, by [session.Outgoing.Seq]
	narrow  *examination // some filter is not allowed as a whole; nil: all are
}

// forget makes all answers worthless.
func (r *rights) forget() {
	r.epoch++
	r.known, r.passed, r.narrow = false, 0, nil
}

// setGateLocked begins a connection. Called with client.mu held.
func (cl *client) setGateLocked(resumed bool) {
	if len(cl.hub.cfg.Authorizers) == 0 {
		return
	}
	cl.sender.SetGate(cl.gateLocked)
	cl.rights.forget()
	if !resumed {
		// It has neither filters nor messages.
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
		h.routines.Go(func() { h.examine(cl) }) // the connection is one of them, so they have not ended
	}
	return r.passed
}

// checkRightsLocked is called when a subscription was made that was asked for under the
// rules asked. Called with hub.mu held, so that no examination misses it.
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
