package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// alarm wakes an absent client's session when its will or its end is due. It is
// guarded by client.mu.
type alarm struct {
	timer *time.Timer // nil: none is set
	will  time.Time   // zero: nothing to publish
	end   time.Time   // zero: never
}

// enter gives c the session that p asks for and sends CONNACK.
func (b *Broker) enter(c *conn, p *wire.Connect, data []byte, deadline time.Time) (resumed bool, err error) {
	assigned := p.ClientID == ""
	if assigned {
		p.ClientID = assignedID()
		c.peer.ClientID = p.ClientID
	}
	var due []*will
	now := time.Now()
	e := entrance{conn: c, connect: p, assigned: assigned, data: data}
	resumed, left, err := b.enterLocked(&e, &due, now)
	if left != nil {
		left.hurry()
	}
	for _, w := range due {
		w.publish(b, now)
	}
	if err == nil && e.recorded != nil {
		err = b.awaitEntrance(&e, deadline)
	}
	if err == nil {
		c.wake()
	}
	return resumed, err
}

// entrance is a client that enters.
type entrance struct {
	conn     *conn
	connect  *wire.Connect
	assigned bool // the client identifier
	data     []byte
	before   former     // what the session was
	resumed  bool       // it goes on
	recorded chan error // has room for one; nil: CONNACK need not wait for the disk
}

func (b *Broker) enterLocked(e *entrance, due *[]*will, now time.Time) (resumed bool, left *conn, err error) {
	c, p := e.conn, e.connect
	b.mu.Lock()
	defer b.mu.Unlock()
	// Serve may have ended the listener and looked for connections with a
	// session already.
	if b.stopping.Load() || c.listener != nil && c.listener.ended {
		return false, nil, wire.ServerUnavailable
	}
	cl := b.clients[p.ClientID]
	resumed = cl != nil && !p.CleanStart && cl.mayResume(c.peer, now)
	e.resumed = resumed
	if cl == nil && len(b.clients) >= b.cfg.Sessions {
		return false, nil, &refusal{code: tooMany(c.version), text: "too many sessions"}
	}
	expiry := b.cfg.sessionExpiry(askedExpiry(p))
	if b.disk != nil && (expiry > 0 || p.Will != nil || cl != nil && cl.recorded || b.disk.erases(p.ClientID)) && b.disk.full() {
		// A will could not be refused when it is due.
		return false, nil, &refusal{code: tooMany(c.version), text: "too much waits for the store"}
	}
	if cl != nil {
		e.before = cl.former()
		// [MQTT-3.1.4-3] the older connection of the same client goes.
		left = b.displace(cl, resumed, due, now)
	}
	if !resumed {
		// [MQTT-3.1.2-4], [MQTT-3.1.4-4] a clean start forgets, before CONNACK.
		if cl != nil {
			cl.mu.Lock()
			b.forget(cl)
			cl.mu.Unlock()
		}
		b.created++
		cl = newClient(p.ClientID, b.created, b.cfg.Inflight, b.disk)
		b.clients[cl.id] = cl
	}

	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.expiry = expiry
	cl.will = newWill(c, p.Will)
	ack := c.accept(p, e.assigned, resumed, cl.expiry, e.data)
	if b.disk != nil {
		// One that goes on is kept until CONNACK says that it ends with the connection.
		cl.lasting.Store(cl.expiry > 0 || resumed)
		c.muted = cl.recorded || cl.expiry > 0 || b.disk.erases(cl.id)
	}
	if err := cl.open(c, ack, resumed, now); err != nil {
		// The client takes no packet of the size of our CONNACK.
		cl.will = nil
		if !resumed {
			b.forget(cl)
		} else {
			b.setAlarm(cl, now, now)
			cl.saveLater()
		}
		return false, left, err
	}
	c.client = cl
	if c.muted {
		b.disk.enter(e, cl)
	}
	return resumed, left, nil
}

// askedExpiry returns the interval that a client wants.
func askedExpiry(p *wire.Connect) uint32 {
	if p.Version < wire.V5 && !p.CleanStart {
		return forever
	}
	return p.SessionExpiryInterval
}

// mayResume reports whether peer may go on with the session. One that has just
// expired is over, even if its alarm is late.
func (cl *client) mayResume(peer *Peer, now time.Time) bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	// [MQTT-3.1.2-6] of 3.1.1: a session for one connection ends with it, and being
	// taken over is an end. It belongs to a user too: nobody gets what waits for
	// somebody else.
	return cl.expiry > 0 && cl.seen.peer.Username == peer.Username && !passed(cl.alarm.end, now)
}

// tooMany returns the reason for a limit of ours, for which older versions have
// none of its own.
func tooMany(v wire.Version) wire.ReasonCode {
	if v < wire.V5 {
		return wire.ServerUnavailable
	}
	return wire.QuotaExceeded
}

// displace ends the connection of cl, if it has one, in favour of a new one. The
// will is due unless the session goes on and the will has a delay.
// [MQTT-3.1.3-9]
func (b *Broker) displace(cl *client, resumed bool, due *[]*will, now time.Time) (left *conn) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	overdue := passed(cl.alarm.will, now)
	b.cancelAlarm(cl)
	if cl.conn != nil {
		left = cl.close(ending{reason: wire.SessionTakenOver, tell: true})
		if cl.will != nil && cl.will.delay == 0 {
			*due = append(*due, cl.takeWill())
		}
	}
	if cl.will != nil && (!resumed || overdue) {
		*due = append(*due, cl.takeWill())
	}
	cl.will = nil
	return left
}

// leave ends c and starts what follows for its session. It reports whether c
// still had one.
func (b *Broker) leave(c *conn, e ending) bool {
	now := time.Now()
	b.mu.Lock()
	cl := c.client
	if cl == nil {
		b.mu.Unlock()
		c.net.Close() // in the middle of the handshake
		return false
	}
	cl.mu.Lock()
	attached := cl.conn == c
	var due *will
	if attached {
		cl.close(e)
		goodbye := cl.will != nil && !e.will
		if !e.will || b.closed && !cl.lasting.Load() {
			// [MQTT-3.14.4-3]
			cl.will = nil
		}
		due = b.away(cl, now)
		if goodbye && cl.recorded {
			// At once, or a crash in the next moment would publish the will.
			b.disk.signal()
		}
	}
	cl.mu.Unlock()
	b.mu.Unlock()

	c.hurry()
	if due != nil {
		due.publish(b, now)
	}
	return attached
}

// away decides what becomes of the session of a client that has just gone. It
// returns the will if that is due.
func (b *Broker) away(cl *client, now time.Time) (due *will) {
	due = cl.will
	// [MQTT-3.1.2-8] the will waits for its delay or the end of the session, and that
	// of a session on the disk for the next start if the broker is closed.
	if due != nil && (due.delay > 0 || b.closed) && cl.expiry > 0 {
		due = nil
	} else {
		due = cl.takeWill()
	}
	if cl.expiry == 0 {
		b.forget(cl)
		return due
	}
	cl.saveLater()
	b.setAlarm(cl, now, now)
	return due
}

// setAlarm starts the clock of a client that is absent since then.
func (b *Broker) setAlarm(cl *client, since, now time.Time) {
	cl.alarm = alarm{}
	if cl.expiry != forever {
		cl.alarm.end = since.Add(time.Duration(cl.expiry) * time.Second)
	}
	if cl.will != nil {
		cl.alarm.will = since.Add(cl.will.delay)
	}
	b.startAlarm(cl, now)
}

// passed reports whether a time of an alarm has come. Zero never does.
func passed(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// next returns when something is due; zero: never.
func (a *alarm) next() time.Time {
	if w := a.will; !w.IsZero() && (a.end.IsZero() || w.Before(a.end)) {
		return w
	}
	return a.end
}

func (b *Broker) startAlarm(cl *client, now time.Time) {
	next := cl.alarm.next()
	if next.IsZero() || b.closed {
		return
	}
	cl.alarm.timer = b.after(next.Sub(now), func() { b.ring(cl) })
}

func (b *Broker) cancelAlarm(cl *client) {
	b.stop(cl.alarm.timer)
	cl.alarm = alarm{}
}

// ring does what is due for an absent client.
func (b *Broker) ring(cl *client) {
	now := time.Now()
	b.mu.Lock()
	cl.mu.Lock()
	var due *will
	// A timer that was stopped too late finds no alarm, or one of a later absence,
	// which has a timer of its own.
	if cl.alarm.timer != nil && !now.Before(cl.alarm.next()) && !b.closed {
		ended := !cl.alarm.end.IsZero() && !now.Before(cl.alarm.end)
		if cl.will != nil && (ended || !now.Before(cl.alarm.will)) {
			due = cl.takeWill()
			cl.alarm.will = time.Time{}
		}
		cl.alarm.timer = nil
		if ended {
			// [MQTT-4.1.0-2] the session is over.
			b.forget(cl)
		} else {
			b.startAlarm(cl, now)
		}
	}
	cl.mu.Unlock()
	b.mu.Unlock()
	if due != nil {
		due.publish(b, now)
	}
}

// forget drops the session of cl; Broker.mu and cl.mu are held. What other members of
// its shared subscriptions have to do instead goes to them.
func (b *Broker) forget(cl *client) {
	if cl.gone {
		return
	}
	for _, s := range cl.subscriptions {
		b.removeSubscription(s)
		if b.disk != nil {
			b.disk.noteFilter(cl, s.whole)
		}
	}
	cl.gone = true
	left := cl.bequeath(&b.counts)
	if cl.recorded {
		cl.erase()
	}
	cl.filters = filters{}
	if b.clients[cl.id] == cl {
		delete(b.clients, cl.id)
	}
	b.passOnNow(left)
}
