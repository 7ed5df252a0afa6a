package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// client is the session of one client identifier. While the client is connected it
// also leads to the connection. A clean start makes a new client.
type client struct {
	hub    *hub
	id     string
	number uint64      // in the order of creation
	online atomic.Bool // whether conn is not nil; a hint for code that does not hold mu

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
	openCost int // memory charged for the open messages of receiver
	walks    []*walk
	pruned   int // of walks, how many were left when all were last looked at
	rights   rights
}

// persistent is the state of a session that is stored. For a session that is not
// stored all of it stays zero.
type persistent struct {
	durable atomic.Bool // the session outlives its connection, so its messages are stored
	waiting journal.Share
	saved   bool    // the store has the session
	slots   uint64  // numbers the queue
	saves   uint64  // counts what makes an earlier record of the session wrong
	leaving []*will // wills that are being published, and would have to be after a crash
}

// seen is what is still known of a client that is away.
type seen struct {
	peer  *Peer     // of the last connection
	since time.Time // when it connected or disconnected
}

func newClient(h *hub, id string, number uint64) *client {
	cl := &client{hub: h, id: id, number: number, filters: filters{subscriptions: make(map[string]*subscription)}}
	cl.sender = session.NewSender(&cl.link, h.cfg.Inflight)
	cl.receiver = session.NewReceiver(&cl.link)
	return cl
}

// chargeTo makes s pay for the session.
func (cl *client) chargeTo(s sessionCharge) {
	cl.sessionCharge, cl.filters.payer, cl.held.payer = s, s.memory, s.memory
}

// openLocked begins the connection c. h is what c has said, and ack is its CONNACK,
// which fits. The messages that wait for the client follow the CONNACK.
func (cl *client) openLocked(c connection, h *hello, ack *wire.Connack, resumed bool, now time.Time) {
	cl.link = session.Link{Version: h.version, Limits: h.limits}
	// [MQTT-3.2.0-1] CONNACK comes first.
	_ = cl.link.Append(ack)
	cl.conn, cl.terse, cl.seen = c, h.terse, seen{h.peer, now}
	for _, w := range cl.walks {
		w.ready = true // the connection that waited for SUBACK has gone
	}
	cl.setOnlineLocked(true)
	cl.link.Open(h.version, h.limits)
	if h.version == wire.V5 {
		// [MQTT-3.1.2-26], [MQTT-3.1.2-27] never more than the client allows.
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

// closeLocked ends the connection and passes its last bytes to the connection's
// writer. [MQTT-4.4.0-1] messages that are not acknowledged wait for the next
// connection.
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
	cl.setOnlineLocked(false)
	return c
}

// appendDisconnectLocked appends a DISCONNECT with the reason, as precise as the client
// and the packet allow. [MQTT-3.14.2-1], [MQTT-3.14.2-3]
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

// payerLocked returns the name of the holder that pays for the subscriptions of a
// client: its user, or the client itself if users are not told apart. Called with hub.mu
// held.
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
// whether there is space for them; if there is not, it changes nothing.
func (cl *client) countOpenLocked() bool {
	n := (cl.receiver.Unfinished() + openBlock - 1) / openBlock * openBlock * openCost
	if n <= cl.openCost {
		return true // the charge is not reduced during a connection
	}
	if !cl.sessionCharge.memory.take(n - cl.openCost) {
		return false
	}
	cl.openCost = n
	return true
}

// recountOpenLocked charges the unfinished messages anew, even beyond the limit.
func (cl *client) recountOpenLocked() {
	n := cl.receiver.Unfinished() * openCost
	cl.sessionCharge.memory.charge(n - cl.openCost)
	cl.openCost = n
}

// forgetsOpenLocked reports whether earlier connections have left too many QoS 2
// messages unfinished. A client that resumes its session finishes them first, so one
// that lets them pile up does not remember them either. Called with client.mu held.
func (cl *client) forgetsOpenLocked(cfg *Config) bool {
	return cl.receiver.Unfinished() > cfg.openMaximum(wire.V311)
}
