package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// client is the session of one client identifier, and the way to its connection
// while it has one. A clean start makes a new one.
type client struct {
	id     string
	number uint64      // in the order of creation
	online atomic.Bool // conn is not nil; a hint for who does not hold mu

	filters
	keeping
	gone bool // the session is over; set under Broker.mu and mu

	mu       sync.Mutex // guards everything below
	conn     *conn      // nil while the client is away
	link     session.Link
	sender   *session.Sender
	receiver *session.Receiver
	held     held
	expiry   uint32 // session expiry interval in seconds
	will     *will
	alarm    alarm
	seen     seen
}

// keeping is what is known of a session that is kept on the disk.
type keeping struct {
	disk     *disk       // nil: there is none
	lasting  atomic.Bool // the session outlives its connection; what comes for it is kept
	waiting  waiting     // guarded by disk.mu
	recorded bool        // the disk has the session
	places   uint64      // numbers the queue
	saves    uint64      // counts what makes an earlier record of the session wrong
	leaving  []*will     // are being published, and may have to be after a crash
}

// seen is what remains known of a client that is away.
type seen struct {
	peer  *Peer     // of the last connection
	since time.Time // when it came or went
}

// held counts what the sender holds: messages that wait or are not acknowledged.
type held struct {
	messages, bytes int
	swept           time.Time           // when those too old were last looked for
	done            []*session.Outgoing // scratch of settle
}

func (h *held) add(m *message, sign int) {
	h.messages += sign
	h.bytes += sign * m.size()
}

func newClient(id string, number uint64, inflight int, d *disk) *client {
	cl := &client{id: id, number: number, filters: filters{subscriptions: make(map[string]*subscription)}}
	cl.disk = d
	cl.sender = session.NewSender(&cl.link, inflight)
	cl.receiver = session.NewReceiver(&cl.link)
	return cl
}

// open begins the connection c with ack, which fits. What waits for the client follows
// it.
func (cl *client) open(c *conn, ack *wire.Connack, resumed bool, now time.Time) {
	cl.link = session.Link{Version: c.version, Limits: c.limits}
	// [MQTT-3.2.0-1] CONNACK comes first.
	_ = cl.link.Append(ack)
	cl.conn, cl.seen = c, seen{c.peer, now}
	cl.online.Store(true)
	cl.link.Open(c.version, c.limits)
	if c.version == wire.V5 {
		// [MQTT-3.1.2-26], [MQTT-3.1.2-27] no more than the client takes.
		cl.link.UseAliases(min(c.b.cfg.TopicAliasesSent, int(c.limits.TopicAliasMaximum)))
	}
	receiveMaximum := 0
	if c.version == wire.V5 {
		receiveMaximum = int(c.b.cfg.ReceiveMaximum)
	} else {
		cl.sender.DropProperties()
	}
	cl.receiver.Start(resumed, receiveMaximum, uint16(c.b.cfg.TopicAliasMaximum))
	cl.sender.Start(resumed, now)
	cl.settle(&c.b.counts)
}

// close ends the connection and leaves its last bytes to the connection's
// writer. [MQTT-4.4.0-1] what is not acknowledged waits for the next one.
func (cl *client) close(e ending) *conn {
	c := cl.conn
	if e.tell && cl.link.Version == wire.V5 {
		// [MQTT-3.14.4-1] nothing follows.
		c.last.told = cl.appendDisconnect(e, c.terse)
	}
	c.last.bytes = cl.link.Take(nil)
	cl.link.Close()
	cl.sender.Stop(false)
	cl.receiver.Stop()
	cl.conn, cl.seen.since = nil, time.Now()
	cl.online.Store(false)
	return c
}

// appendDisconnect says why the connection ends, as exactly as the client and the
// packet permit. [MQTT-3.14.2-1], [MQTT-3.14.2-3]
func (cl *client) appendDisconnect(e ending, terse bool) bool {
	bye := &wire.Disconnect{ReasonCode: e.reason, ServerReference: e.server}
	if !terse && e.text != "" {
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

// deliver sends m to the client or queues it. It notes the connection in r when
// its writer has to be woken. It returns false if the session is over or has no room.
func (cl *client) deliver(m *message, t *target, r *router, now time.Time) (taken bool) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.gone {
		return false
	}
	idle := cl.link.Pending() == 0
	p := m.publish
	// [MQTT-3.8.4-8] the lower of the published and the granted QoS.
	p.QoS = min(p.QoS, t.qos)
	p.Retain = t.retain
	if p.QoS == wire.AtMostOnce && !t.stored {
		taken = cl.deliverAtMostOnce(&p, m, t, r, now)
	} else {
		taken = cl.enqueue(&p, m, t, now)
	}
	if idle && cl.link.Pending() > 0 {
		r.dirty = append(r.dirty, cl.conn)
	}
	return taken
}

func (cl *client) deliverAtMostOnce(p *wire.Publish, m *message, t *target, r *router, now time.Time) (taken bool) {
	if cl.conn == nil {
		return true // nobody waits for it
	}
	v5 := cl.link.Version == wire.V5
	var sent bool
	var err error
	if v5 && len(t.ids) > 0 {
		r.properties = withIDs(p.Properties, t.ids)
		p.Properties = &r.properties
		sent, err = cl.sender.SendAtMostOnce(p)
	} else if cl.link.Aliases(p.Topic) {
		sent, err = cl.sender.SendAtMostOnce(p)
	} else if frame := r.frame(p, v5); frame != nil {
		sent, err = cl.sender.SendEncoded(frame)
	}
	switch {
	case sent:
		cl.conn.b.counts.sent.Add(1)
	case err != nil:
		// [MQTT-3.1.2-25] too large for this client: as if delivered.
		cl.conn.b.counts.expired.Add(1)
	default:
		return cl.enqueue(p, m, t, now)
	}
	return true
}

// enqueue hands the message to the sender, unless too much waits already.
func (cl *client) enqueue(p *wire.Publish, m *message, t *target, now time.Time) (taken bool) {
	counts := &m.b.counts
	if !cl.room(m, now) {
		if t.group == "" {
			counts.dropped.Add(1)
		}
		return false
	}
	kept := m.keep()
	p.Payload, p.Properties = kept.publish.Payload, kept.publish.Properties
	switch {
	case cl.conn != nil && cl.link.Version < wire.V5:
		p.Properties = nil
	case len(t.ids) > 0:
		// [MQTT-3.3.4-3] the message carries the identifiers of the subscriptions.
		p.Properties = new(withIDs(p.Properties, append([]uint32(nil), t.ids...)))
	}
	counts.sent.Add(1)
	cl.held.add(kept, 1)
	o := &session.Outgoing{Publish: *p, Expires: m.expires, Owner: kept}
	if t.group != "" {
		o.Owner = &shared{kept, t.group}
	}
	cl.sender.Submit(o, now)
	cl.settle(counts)
	return true
}

// sweepInterval keeps a full queue from being searched for every new message.
const sweepInterval = time.Second

// room reports whether m may join what waits. A full queue is first rid of
// messages that got too old.
func (cl *client) room(m *message, now time.Time) bool {
	fits := func() bool {
		return cl.held.messages < m.b.cfg.QueuedMessages && cl.held.bytes+m.size() <= m.b.cfg.QueuedBytes
	}
	if fits() {
		return true
	}
	if now.Sub(cl.held.swept) < sweepInterval {
		return false
	}
	cl.held.swept = now
	cl.sender.DropExpired(now)
	cl.settle(&m.b.counts)
	return fits()
}

func withIDs(base *wire.PublishProperties, ids []uint32) wire.PublishProperties {
	var p wire.PublishProperties
	if base != nil {
		p = *base
	}
	p.SubscriptionIDs = ids
	return p
}

// settle gives back the room of messages that the sender has completed.
func (cl *client) settle(counts *counters) {
	cl.held.done = cl.sender.Completed(cl.held.done[:0])
	for _, o := range cl.held.done {
		switch owner := o.Owner.(type) {
		case *parcel:
			cl.held.add(owner.message, -1)
			owner.remove(cl.disk)
		case *shared:
			cl.held.add(owner.message, -1)
		case *message:
			cl.held.add(owner, -1)
		}
		if o.Result().Err != nil && !isRefusal(o.Result().Err) {
			counts.expired.Add(1)
		}
	}
	clear(cl.held.done)
	if cl.disk != nil {
		cl.record()
	}
}
