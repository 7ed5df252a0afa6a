package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// entrance is a client that wants to enter. The results of hub.checkEntryLocked hold
// as long as hub.mu is held.
type entrance struct {
	conn     *conn
	connect  *wire.Connect
	assigned bool // the broker chose the client identifier
	data     []byte
	will     *will
	charge   *sessionCharge // of its session, which has yet to begin; nil: not reserved

	session *client // the session under the client identifier; nil: none
	resumed bool    // the client resumes session
	expiry  uint32
	ack     *wire.Connack
}

// handover is what remains to be done for other clients after a client has entered.
type handover struct {
	left connection // the connection that has lost the session; nil: none
	due  []*will    // wills to publish
}

// enter gives c the session that p asks for and sends CONNACK. All reasons for a refusal
// are checked before the session is touched, so a refused client changes nothing.
func (h *hub) enter(c *conn, p *wire.Connect, data []byte, deadline time.Time) (resumed bool, err error) {
	e := &entrance{conn: c, connect: p, data: data}
	if e.assigned = p.ClientID == ""; e.assigned {
		p.ClientID = assignedID()
		c.peer.ClientID = p.ClientID
	}
	e.will = newWill(p.Will, c.peer, c.version)
	after, err := h.awaitEntry(e, deadline)
	if err != nil {
		return false, err
	}
	if after.left != nil {
		after.left.finishSoon()
	}
	for _, w := range after.due {
		w.publish(h, time.Now())
	}
	c.wake()
	return e.resumed, nil
}

// checkEntryLocked decides whether the client may enter, and how. It changes only e.
// Called with hub.mu held.
func (h *hub) checkEntryLocked(e *entrance, now time.Time) error {
	c, p := e.conn, e.connect
	// Serve may have ended the listener and already looked for the connections that
	// have a session.
	if h.stopping.Load() || c.listener != nil && c.listener.ended {
		return wire.ServerUnavailable
	}
	e.session = h.clients[p.ClientID]
	if err := c.mayTakeSession(e.session, now); err != nil {
		return err
	}
	e.resumed = e.session != nil && !p.CleanStart && e.session.mayResume(now)
	e.expiry = h.cfg.sessionExpiry(session.ConnectExpiry(p))
	if err := h.checkSpaceLocked(e); err != nil {
		return err
	}
	if (p.Will != nil || h.mustStoreLocked(e)) && h.persistence.Full() {
		// A will that is due can no longer be refused, so it is refused now.
		return &refusal{code: tooMany(c.version), text: "too much waits for the store"}
	}
	e.ack = c.connack(p, e.assigned, e.resumed, e.expiry, e.data)
	if !c.fits(e.ack) {
		// [MQTT-3.1.2-28] the response information may be left out.
		if e.ack.ResponseInformation = ""; !c.fits(e.ack) {
			return &refusal{code: wire.PacketTooLarge, text: "CONNACK"}
		}
	}
	return nil
}

// checkSpaceLocked returns why there is no space for the session. A client that has a
// session needs space only if it makes the session grow by more than knownGrowth.
func (h *hub) checkSpaceLocked(e *entrance) error {
	c, cost, payer := e.conn, costOfSession(e.conn.peer, e.will), h.cfg.payer(e.conn.peer)
	switch cl := e.session; {
	case e.charge != nil:
		return nil
	case cl == nil && !h.sessionQuota.fits(payer, 1):
		return &refusal{code: tooMany(c.version), text: "too many sessions"}
	case cl != nil:
		if cost -= cl.sessionCharge.cost; cost <= knownGrowth {
			return nil
		}
		payer = cl.sessionCharge.memory.name
	}
	if !h.memory.fits(payer, cost) {
		return &refusal{code: tooMany(c.version), text: "too much memory is in use"}
	}
	return nil
}

// takeOverLocked lets the client in, as checkEntryLocked decided. If a new session
// begins, number is its number; 0 means the next free one. Called with hub.mu held.
func (h *hub) takeOverLocked(e *entrance, number uint64, now time.Time) (after handover) {
	c, cl := e.conn, e.session
	if cl != nil {
		// [MQTT-3.1.4-3] the older connection of the same client ends.
		after.left = h.displaceLocked(cl, e.resumed, &after.due, now)
	}
	if !e.resumed {
		// [MQTT-3.1.2-4], [MQTT-3.1.4-4] a clean start forgets, before CONNACK.
		if cl != nil {
			cl.mu.Lock()
			h.endSessionLocked(cl)
			cl.mu.Unlock()
		}
		if number == 0 {
			number = h.nextNumberLocked()
		}
		cl = newClient(h, e.connect.ClientID, number)
		if e.charge == nil {
			e.charge = new(newSessionCharge(h.sessionQuota, h.memory, h.cfg.payer(c.peer), 0))
		}
		cl.chargeTo(*e.charge)
		e.charge = nil
		h.clients[cl.id] = cl
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.expiry, cl.will = e.expiry, e.will
	cl.resize(costOfSession(c.peer, e.will))
	cl.durable.Store(h.persistence.Stores() && cl.expiry > 0)
	cl.saved = cl.saved || cl.durable.Load()
	cl.openLocked(c, &c.hello, e.ack, e.resumed, now)
	c.client = cl
	return after
}
