package broker

import (
	"context"
	"time"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// former is what a session was before its client came back.
type former struct {
	online bool
	expiry uint32
	will   *will
	seen   seen
}

func (cl *client) former() former {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return former{cl.conn != nil, cl.expiry, cl.will, cl.seen}
}

// enter records the session of cl, whose CONNACK waits for that: what was forgotten
// for it must not come back, and what it is promised must be there after a crash.
// Broker.mu and cl.mu are held.
func (d *disk) enter(e *entrance, cl *client) {
	t := &task{}
	if cl.recorded || cl.expiry > 0 {
		cl.recorded = true
		t.ops = []store.Op{cl.save()}
	}
	e.recorded = make(chan error, 1)
	t.done = func(err error) { e.recorded <- err }
	d.add(t)
}

// awaitEntrance waits until CONNACK may be sent, or takes everything back.
func (b *Broker) awaitEntrance(e *entrance, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(b.ctx, deadline)
	defer cancel()
	c, cl := e.conn, e.conn.client
	var err error
	code := wire.ServerUnavailable
	select {
	case err = <-e.recorded:
		if c.version == wire.V5 {
			code = storeCode(err)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil {
		cl.mu.Lock()
		defer cl.mu.Unlock()
		c.muted = false
		if cl.conn == c {
			cl.lasting.Store(cl.expiry > 0)
		}
		return nil
	}
	b.expel(e)
	return &refusal{code: code, text: storeFailed}
}

// expel makes the session what it was.
func (b *Broker) expel(e *entrance) {
	c, cl, now := e.conn, e.conn.client, time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return // the next one has taken over
	}
	cl.close(ending{})
	cl.will = nil
	if !e.resumed {
		b.forget(cl)
		return
	}
	cl.expiry, cl.seen, cl.will = e.before.expiry, e.before.seen, e.before.will
	since := e.before.seen.since
	if e.before.online {
		// The connection before has lost it to this one.
		since = now
	}
	if cl.will != nil && cl.will.owner != nil {
		cl.will = nil // is being published
	}
	cl.seen.since = since
	cl.lasting.Store(cl.expiry > 0)
	cl.saveLater()
	b.setAlarm(cl, since, now)
}
