package broker

import (
	"context"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// A session is recorded before its client is let in: what is forgotten for it must not
// come back, and what it is promised must be there after a crash. Until the disk has
// that, the session is what it was, with its connection, so that a Store that fails
// takes nothing from anybody. If something about the session changes meanwhile, the
// disk is told again.

// admission is what the disk has been told for a client that is to enter.
type admission struct {
	e        *entrance
	number   uint64 // of the session that begins; 0: none that is kept
	wrote    bool   // the disk may have something of it
	kept     bool   // the disk has all of it
	task     *task
	recorded chan error // has room for one

	// What it is for.
	session *client
	resumed bool
	expiry  uint32
	saves   uint64 // of the session
}

// enter is Broker.enterAtOnce with a Store.
func (d *disk) enter(e *entrance, deadline time.Time) (after handsOver, err error) {
	ctx, cancel := context.WithDeadline(d.b.ctx, deadline)
	defer cancel()
	if !d.takeTurn(ctx, e.connect.ClientID) {
		return handsOver{}, &refusal{code: wire.ServerUnavailable, text: storeFailed}
	}
	defer d.passTurn(e.connect.ClientID)
	a := &admission{e: e}
	for {
		if done, err := d.tryToEnter(a, &after); done || err != nil {
			return after, err
		}
		if err := a.await(ctx, d); err != nil {
			return after, err
		}
	}
}

// tryToEnter lets the client in, or tells the disk what for.
func (d *disk) tryToEnter(a *admission, after *handsOver) (done bool, err error) {
	b, e, now := d.b, a.e, time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.consider(e, now); err != nil {
		a.takeBack(d)
		return false, err
	}
	if d.mustKnow(e) && !a.holds() {
		a.make(d, now)
		return false, nil
	}
	a.unreserve(b)
	*after = b.takeOver(e, a.number, now)
	return true, nil
}

// mustKnow reports whether the disk has to know before e may enter. Broker.mu is held.
func (d *disk) mustKnow(e *entrance) bool {
	return e.expiry > 0 || e.session != nil && e.session.recorded || d.erases(e.connect.ClientID)
}

// holds reports whether the disk has what is considered now. Broker.mu is held.
func (a *admission) holds() bool {
	e := a.e
	if !a.kept || a.session != e.session || a.resumed != e.resumed || a.expiry != e.expiry {
		return false
	}
	if e.session == nil {
		return true
	}
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	return a.saves == e.session.saves
}

// make tells the disk what will be when e has entered. Broker.mu is held.
func (a *admission) make(d *disk, now time.Time) {
	e := a.e
	a.session, a.resumed, a.expiry, a.kept = e.session, e.resumed, e.expiry, false
	begins := sessionState{peer: *e.conn.peer, expiry: e.expiry, connected: true, since: now, will: e.will}
	var ops []store.Op
	if cl := e.session; cl != nil {
		cl.mu.Lock()
		a.saves = cl.saves
		leaving := slices.Clip(cl.leaving)
		if cl.willIsDue(e.resumed, now) {
			leaving = append(leaving, cl.will)
		}
		switch {
		case e.resumed:
			begins.leaving = leaving
			ops = append(ops, d.sessionOp(cl.number, &begins))
		case cl.recorded:
			ops = append(ops, d.sessionOp(cl.number, &sessionState{
				peer: *cl.seen.peer, expiry: cl.expiry, ended: true, since: cl.seen.since, leaving: leaving,
			}))
		}
		cl.mu.Unlock()
	}
	if !e.resumed && e.expiry > 0 {
		a.reserve(d.b)
		ops = append(ops, d.sessionOp(a.number, &begins))
	}
	a.recorded = make(chan error, 1)
	recorded := a.recorded
	a.task = &task{ops: ops, done: func(err error) { recorded <- err }}
	d.add(a.task)
}

// reserve takes a number and a place for a session that is to begin. Broker.mu is held.
func (a *admission) reserve(b *Broker) {
	if a.number == 0 {
		a.number = b.nextNumber()
	}
	if !a.e.promised && a.e.session == nil {
		a.e.promised = true
		b.promised++
	}
}

func (a *admission) unreserve(b *Broker) {
	if a.e.promised {
		a.e.promised = false
		b.promised--
	}
}

// await waits until the disk knows, or takes everything back.
func (a *admission) await(ctx context.Context, d *disk) error {
	var err error
	code := wire.ServerUnavailable
	select {
	case err = <-a.recorded:
		if a.kept = err == nil; a.kept {
			a.wrote = true
			return nil
		}
		if a.e.conn.version == wire.V5 {
			code = storeCode(err)
		}
	case <-ctx.Done():
		a.task.unwanted.Store(true)
		a.wrote = true
	}
	d.b.mu.Lock()
	defer d.b.mu.Unlock()
	a.takeBack(d)
	return &refusal{code: code, text: storeFailed}
}

// takeBack tells the disk what is, in place of what was to be. Broker.mu is held.
func (a *admission) takeBack(d *disk) {
	a.unreserve(d.b)
	if !a.wrote {
		return
	}
	if a.number != 0 {
		d.later(deletion(recordKey(sessionRecord, a.number)))
	}
	if cl := d.b.clients[a.e.connect.ClientID]; cl != nil {
		cl.mu.Lock()
		defer cl.mu.Unlock()
		cl.saveLater()
	}
}

// takeTurn waits until no other client with the same identifier enters, or for the end
// of ctx, and reports whether it came to that.
func (d *disk) takeTurn(ctx context.Context, clientID string) bool {
	for {
		d.mu.Lock()
		over, taken := d.entering[clientID]
		if !taken {
			d.entering[clientID] = make(chan struct{})
		}
		d.mu.Unlock()
		if !taken {
			return true
		}
		select {
		case <-over:
		case <-ctx.Done():
			return false
		}
	}
}

func (d *disk) passTurn(clientID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.entering[clientID])
	delete(d.entering, clientID)
}
