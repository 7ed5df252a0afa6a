package broker

import (
	"context"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// A session is stored before its client is let in: a session that was cleared must
// not come back after a crash, and one that the client was told about must be there.
// Until the store has the change, the session and its connection stay as they are, so
// a Store that fails takes nothing from any client. If the session changes meanwhile,
// the store is told again. A client whose session is not stored enters at once.

// admission is what the store has been told for a client that is about to enter.
type admission struct {
	e        *entrance
	number   uint64 // of the session that begins; 0: no stored session begins
	wrote    bool   // the store may have a part of it
	has      bool   // the store has all of it
	task     *journal.Task
	recorded chan error // holds the result of task

	// The state of the session that was recorded.
	session *client
	resumed bool
	expiry  uint32
	saves   uint64 // of the session
}

// awaitEntry lets the client in. If its session is to be stored, it first waits until
// the store has it.
func (h *hub) awaitEntry(e *entrance, deadline time.Time) (after handover, err error) {
	if !h.identifiers.lock(h.ctx, deadline, e.connect.ClientID) {
		return handover{}, &refusal{code: wire.ServerUnavailable, text: storeFailed}
	}
	defer h.identifiers.unlock(e.connect.ClientID)
	a := &admission{e: e}
	for {
		if done, err := h.tryToEnter(a, &after); done || err != nil {
			return after, err
		}
		if err := a.await(h, deadline); err != nil {
			return after, err
		}
	}
}

// tryToEnter lets the client in, or tells the store about the session first.
func (h *hub) tryToEnter(a *admission, after *handover) (done bool, err error) {
	e, now := a.e, time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.checkEntryLocked(e, now); err != nil {
		a.takeBackLocked(h)
		return false, err
	}
	if h.mustStoreLocked(e) && !a.isCurrentLocked() {
		a.recordLocked(h, now)
		return false, nil
	}
	*after = h.takeOverLocked(e, a.number, now)
	a.unreserve() // if a session existed after all
	return true, nil
}

// mustStoreLocked reports whether the store must have the session before e may enter.
// Called with hub.mu held.
func (h *hub) mustStoreLocked(e *entrance) bool {
	return h.persistence.Stores() &&
		(e.expiry > 0 || e.session != nil && e.session.saved || h.identifiers.isErased(e.connect.ClientID))
}

// isCurrentLocked reports whether the store has the session as it would be now.
// Called with hub.mu held.
func (a *admission) isCurrentLocked() bool {
	e := a.e
	if !a.has || a.session != e.session || a.resumed != e.resumed || a.expiry != e.expiry {
		return false
	}
	if e.session == nil {
		return true
	}
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	return a.saves == e.session.saves
}

// recordLocked tells the store how the session will be when e has entered. Called with
// hub.mu held.
func (a *admission) recordLocked(h *hub, now time.Time) {
	e := a.e
	a.session, a.resumed, a.expiry, a.has = e.session, e.resumed, e.expiry, false
	begins := sessionState{peer: e.conn.peer, expiry: e.expiry, connected: true, since: now, will: e.will}
	var ops []store.Op
	if cl := e.session; cl != nil {
		cl.mu.Lock()
		a.saves = cl.saves
		leaving := slices.Clip(cl.leaving)
		if cl.willIsDueLocked(e.resumed, now) {
			leaving = append(leaving, cl.will)
		}
		switch {
		case e.resumed:
			begins.leaving = leaving
			ops = append(ops, h.sessionOp(cl.number, &begins))
		case cl.saved:
			ops = append(ops, h.sessionOp(cl.number, &sessionState{
				peer: cl.seen.peer, expiry: cl.expiry, ended: true, since: cl.seen.since, leaving: leaving,
			}))
		}
		cl.mu.Unlock()
	}
	if !e.resumed && e.expiry > 0 {
		a.reserveLocked(h)
		ops = append(ops, h.sessionOp(a.number, &begins))
	}
	a.recorded = make(chan error, 1)
	recorded := a.recorded
	a.task = &journal.Task{Ops: ops, Done: func(err error) { recorded <- err }}
	h.persistence.Add(a.task)
}

// reserveLocked takes a number and the memory for a session that is about to begin.
// Called with hub.mu held.
func (a *admission) reserveLocked(h *hub) {
	if a.number == 0 {
		a.number = h.nextNumberLocked()
	}
	if e := a.e; e.charge == nil && e.session == nil {
		e.charge = new(newSessionCharge(h.sessionQuota, h.memory, h.cfg.payer(e.conn.peer), costOfSession(e.conn.peer, e.will)))
	}
}

func (a *admission) unreserve() {
	if s := a.e.charge; s != nil {
		s.end()
		a.e.charge = nil
	}
}

// await waits until the store has the session. If it fails, it takes everything back.
func (a *admission) await(h *hub, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(h.ctx, deadline)
	defer cancel()
	var err error
	code := wire.ServerUnavailable
	select {
	case err = <-a.recorded:
		if a.has = err == nil; a.has {
			a.wrote = true
			return nil
		}
		if a.e.conn.version == wire.V5 {
			code = storeCode(err)
		}
	case <-ctx.Done():
		a.task.GiveUp()
		a.wrote = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	a.takeBackLocked(h)
	return &refusal{code: code, text: storeFailed}
}

// takeBackLocked tells the store how the session is, in place of how it was to be.
// Called with hub.mu held.
func (a *admission) takeBackLocked(h *hub) {
	a.unreserve()
	if !a.wrote {
		return
	}
	if a.number != 0 {
		h.persistence.Later(records.Deletion(records.SessionKey(a.number)))
	}
	if cl := h.clients[a.e.connect.ClientID]; cl != nil {
		cl.mu.Lock()
		defer cl.mu.Unlock()
		cl.saveLaterLocked()
	}
}
