package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// client is the session of one client identifier, and the way to its connection
// while it has one. A clean start makes a new one.
type client struct {
	hub    *hub
	id     string
	number uint64      // in the order of creation
	online atomic.Bool // conn is not nil; a hint for code that does not hold mu

	sessionCharge // set once
	filters
	persistent
	gone bool // the session is over; set under hub.mu and mu

	mu       sync.Mutex // guards everything below
	conn     connection // nil while the client is away
	terse    bool       // see hello
	link     session.Link
	sender   *session.Sender
	receiver *session.Receiver
	held     held
	expiry   uint32 // session expiry interval in seconds
	will     *will
	alarm    alarm
	seen     seen
	openCost int // charged for what receiver has open
	walks    []*walk
	rights   rights
}

// persistent is what is known of a session that the store has. Without one nothing of
// it is ever set.
type persistent struct {
	durable atomic.Bool // the session outlives its connection; what comes for it is stored
	waiting journal.Share
	saved   bool    // the store has the session
	slots   uint64  // numbers the queue
	saves   uint64  // counts what makes an earlier record of the session wrong
	leaving []*will // are being published, and may have to be after a crash
}

// seen is what remains known of a client that is away.
type seen struct {
	peer  *Peer     // of the last connection
	since time.Time // when it came or went
}

func newClient(h *hub, id string, number uint64) *client {
	cl := &client{hub: h, id: id, number: number, filters: filters{subscriptions: make(map[string]*subscription)}}
	cl.sender = session.NewSender(&cl.link, h.cfg.Inflight)
	cl.receiver = session.NewReceiver(&cl.link)
	return cl
}

// chargeTo makes the session pay with s for what it has.
func (cl *client) chargeTo(s sessionCharge) {
	cl.sessionCharge, cl.filters.payer, cl.held.payer = s, s.memory, s.memory
}

// openLocked begins the connection c, which has said h, with ack, which fits. What
// waits for the client follows it.
func (cl *client) openLocked(c connection, h *hello, ack *wire.Connack, resumed bool, now time.Time) {
	cl.link = session.Link{Version: h.version, Limits: h.limits}
	// [MQTT-3.2.0-1] CONNACK comes first.
	_ = cl.link.Append(ack)
	cl.conn, cl.terse, cl.seen = c, h.terse, seen{h.peer, now}
	for _, w := range cl.walks {
		w.ready = true // the connection that waited for SUBACK has gone
	}
	cl.online.Store(true)
	cl.link.Open(h.version, h.limits)
	if h.version == wire.V5 {
		// [MQTT-3.1.2-26], [MQTT-3.1.2-27] no more than the client takes.
		cl.link.UseAliases(min(cl.hub.cfg.TopicAliasesSent, int(h.limits.TopicAliasMaximum)))
	}
	if h.version < wire.V5 {
		cl.sender.DropProperties()
	}
	cl.receiver.Start(resumed && !cl.forgetsOpenLocked(&cl.hub.cfg), cl.hub.cfg.openMaximum(h.version), uint16(cl.hub.cfg.TopicAliasMaximum))
	cl.setGateLocked(resumed)
	cl.sender.Start(resumed, now)
	cl.collectCompletedLocked(&cl.hub.counts)
}

// closeLocked ends the connection and leaves its last bytes to the connection's
// writer. [MQTT-4.4.0-1] what is not acknowledged waits for the next one.
func (cl *client) closeLocked(e ending) connection {
	c, told := cl.conn, false
	if e.tell && cl.link.Version == wire.V5 {
		// [MQTT-3.14.4-1] nothing follows.
		told = cl.appendDisconnectLocked(e)
	}
	c.detachLocked(cl.link.Take(nil), told)
	cl.link.Close()
	cl.sender.Stop(false)
	cl.receiver.Stop()
	cl.conn, cl.seen.since = nil, time.Now()
	cl.online.Store(false)
	return c
}

// appendDisconnectLocked says why the connection ends, as exactly as the client and the
// packet permit. [MQTT-3.14.2-1], [MQTT-3.14.2-3]
func (cl *client) appendDisconnectLocked(e ending) bool {
	bye := &wire.Disconnect{ReasonCode: e.reason, ServerReference: e.server}
	if !cl.terse && e.text != "" {
		bye.ReasonString = e.text
	}
	if cl.link.Append(bye) == nil {
		return true
	}
	bye.ReasonString, bye.ServerReference = "", ""
	if cl.link.Append(bye) == nil {
		return true
	}
	bye.ReasonCode = wire.UnspecifiedError
	return cl.link.Append(bye) == nil
}

// payerLocked returns who pays for the subscriptions of a client: its user, or itself if
// there are none. Called with hub.mu held.
func (cl *client) payerLocked(open bool) string {
	if peer := cl.seen.peer; peer != nil && peer.Username != "" && !open {
		return "user " + peer.Username
	}
	return "client " + cl.id
}

func (cl *client) lastPeer() *Peer {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.seen.peer
}

// countOpenLocked charges the messages that the client has not finished. It reports
// whether there is space for them; if there is not, nothing changes.
func (cl *client) countOpenLocked() bool {
	n := (cl.receiver.Unfinished() + openBlock - 1) / openBlock * openBlock * openCost
	if n <= cl.openCost {
		return true // a connection keeps what it had
	}
	if !cl.sessionCharge.memory.take(n - cl.openCost) {
		return false
	}
	cl.openCost = n
	return true
}

// recountOpenLocked charges what is left of them, whatever is left of the quota.
func (cl *client) recountOpenLocked() {
	n := cl.receiver.Unfinished() * openCost
	cl.sessionCharge.memory.charge(n - cl.openCost)
	cl.openCost = n
}

// forgetsOpenLocked reports whether the QoS 2 messages are too many that earlier
// connections have left unfinished. A client that goes on with its session finishes
// them first, so one that lets them pile up does not remember them either. Called with
// client.mu held.
func (cl *client) forgetsOpenLocked(cfg *Config) bool {
	return cl.receiver.Unfinished() > cfg.openMaximum(wire.V311)
}
