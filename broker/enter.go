package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// entrance is a client that wants to enter. What Broker.consider makes of it holds as
// long as Broker.mu is held.
type entrance struct {
	conn     *conn
	connect  *wire.Connect
	assigned bool // the client identifier
	data     []byte
	will     *will
	stake    *stake // of its session, which has yet to begin; nil: there is none

	session *client // that there is under the client identifier; nil: none
	resumed bool    // it goes on
	expiry  uint32
	ack     *wire.Connack
}

// handsOver is what is left to do for others when a client has entered.
type handsOver struct {
	left *conn   // has lost the session; nil: none
	due  []*will // are to be published
}

// enter gives c the session that p asks for and sends CONNACK. A client that is refused
// changes nothing: whatever may speak against it is asked before its session is touched.
func (b *Broker) enter(c *conn, p *wire.Connect, data []byte, deadline time.Time) (resumed bool, err error) {
	e := &entrance{conn: c, connect: p, data: data}
	if e.assigned = p.ClientID == ""; e.assigned {
		p.ClientID = assignedID()
		c.peer.ClientID = p.ClientID
	}
	e.will = newWill(c, p.Will)
	after, err := b.letIn(e, deadline)
	if err != nil {
		return false, err
	}
	if after.left != nil {
		after.left.hurry()
	}
	for _, w := range after.due {
		w.publish(b, time.Now())
	}
	c.wake()
	return e.resumed, nil
}

// consider decides whether the client may enter, and how. It changes nothing but e.
// Broker.mu is held.
func (b *Broker) consider(e *entrance, now time.Time) error {
	c, p := e.conn, e.connect
	// Serve may have ended the listener and looked for connections with a
	// session already.
	if b.stopping.Load() || c.listener != nil && c.listener.ended {
		return wire.ServerUnavailable
	}
	e.session = b.clients[p.ClientID]
	if err := c.mayHave(e.session, now); err != nil {
		return err
	}
	e.resumed = e.session != nil && !p.CleanStart && e.session.mayResume(now)
	e.expiry = b.cfg.sessionExpiry(session.ConnectExpiry(p))
	if err := b.hasPlace(e); err != nil {
		return err
	}
	if (p.Will != nil || b.mustStore(e)) && b.persistence.Full() {
		// A will could not be refused when it is due.
		return &refusal{code: tooMany(c.version), text: "too much waits for the store"}
	}
	e.ack = c.accept(p, e.assigned, e.resumed, e.expiry, e.data)
	if !c.fits(e.ack) {
		// [MQTT-3.1.2-28] the response information may be left out.
		if e.ack.ResponseInformation = ""; !c.fits(e.ack) {
			return &refusal{code: wire.PacketTooLarge, text: "CONNACK"}
		}
	}
	return nil
}

// hasPlace returns why there is no room for the session. One that is there may go on,
// unless it comes back much larger than it was.
func (b *Broker) hasPlace(e *entrance) error {
	c, cost, payer := e.conn, costOfSession(e.conn.peer, e.will), b.payer(e.conn.peer)
	switch cl := e.session; {
	case e.stake != nil:
		return nil
	case cl == nil && !b.places.room(payer, 1):
		return &refusal{code: tooMany(c.version), text: "too many sessions"}
	case cl != nil:
		if cost -= cl.stake.cost; cost <= knownGrowth {
			return nil
		}
		payer = cl.stake.memory.name
	}
	if !b.memory.room(payer, cost) {
		return &refusal{code: tooMany(c.version), text: "too much memory is in use"}
	}
	return nil
}

// takeOver lets the client in, as considered. number is that of its session if a new
// one begins; 0: the next. Broker.mu is held.
func (b *Broker) takeOver(e *entrance, number uint64, now time.Time) (after handsOver) {
	c, cl := e.conn, e.session
	if cl != nil {
		// [MQTT-3.1.4-3] the older connection of the same client goes.
		after.left = b.displace(cl, e.resumed, &after.due, now)
	}
	if !e.resumed {
		// [MQTT-3.1.2-4], [MQTT-3.1.4-4] a clean start forgets, before CONNACK.
		if cl != nil {
			cl.mu.Lock()
			b.forget(cl)
			cl.mu.Unlock()
		}
		if number == 0 {
			number = b.nextNumber()
		}
		cl = newClient(b, e.connect.ClientID, number)
		if e.stake == nil {
			e.stake = new(b.newStake(b.payer(c.peer), 0))
		}
		cl.pays(*e.stake)
		e.stake = nil
		b.clients[cl.id] = cl
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.expiry, cl.will = e.expiry, e.will
	cl.resize(costOfSession(c.peer, e.will))
	cl.durable.Store(b.persistence.Stores() && cl.expiry > 0)
	cl.saved = cl.saved || cl.durable.Load()
	cl.open(c, e.ack, e.resumed, now)
	c.client = cl
	return after
}

// nextNumber returns the number of a session; Broker.mu is held.
func (b *Broker) nextNumber() uint64 {
	b.created++
	return b.created
}
