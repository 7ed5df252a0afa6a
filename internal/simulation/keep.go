package simulation

import (
	"maps"
	"slices"
	"strconv"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// keep is what a server remembers of one client: a session.
type keep struct {
	server *server
	to     *device
	link   *link // nil: the client is not connected
	held   map[uint16]*message
	subs   map[string]sub
	open   []*out
	queue  []*delivery
	lastID uint16
	queued int
	ends   bool // with its connection

	engine *session.Server // of a server with Engine
	tasks  []task          // its answers, put off
}

type sub struct {
	qos wire.QoS
	id  uint32
}

// out is a message that was sent to the client and is not finished.
type out struct {
	*delivery
	packet   uint16
	released bool  // PUBREC has come
	on       *link // the connection on which it counts
	outgoing *session.Outgoing
}

func newKeep(s *server, d *device) *keep {
	return &keep{server: s, to: d, held: make(map[uint16]*message), subs: make(map[string]sub)}
}

func (k *keep) clone() *keep {
	c := *k
	c.link, c.held, c.subs, c.queue = nil, maps.Clone(k.held), maps.Clone(k.subs), slices.Clone(k.queue)
	c.open = nil
	for _, o := range k.open {
		copied := *o
		copied.on = nil
		c.open = append(c.open, &copied)
	}
	return &c
}

func (k *keep) add(m *message, s sub) {
	k.queued++
	d := &delivery{message: m, qos: min(m.qos, s.qos), id: s.id, to: k.to, from: k, queued: k.queued}
	d.text = m.payload + "#" + strconv.Itoa(len(k.server.w.deliveries))
	k.server.w.deliveries = append(k.server.w.deliveries, d)
	if d.qos == wire.AtMostOnce && k.link == nil {
		return
	}
	if k.engine != nil {
		k.submit(d)
		return
	}
	k.queue = append(k.queue, d)
}

// lose ends the session. In 3.1 no CONNACK tells the client.
func (k *keep) lose() {
	if k.server.w.schedule.Setup.Version == wire.V31 {
		for _, m := range k.to.published {
			m.exempt = m.exempt || m.sent && m.ended == 0
		}
	}
	for _, o := range k.open {
		o.lost = true
	}
	for _, d := range k.queue {
		d.lost = true
	}
}

// deliver sends what the client's receive maximum allows.
func (k *keep) deliver() {
	l := k.link
	for len(k.queue) > 0 {
		d := k.queue[0]
		o := &out{delivery: d, on: l}
		if d.qos > 0 {
			if k.counted() >= l.clientMax {
				return
			}
			o.packet = k.nextID()
			k.open = append(k.open, o)
		}
		k.queue = k.queue[1:]
		l.publish(o, false)
	}
}

func (k *keep) counted() (n int) {
	for _, o := range k.open {
		if o.on == k.link {
			n++
		}
	}
	return n
}

// nextID takes one of few identifiers, so that they are used again soon.
func (k *keep) nextID() uint16 {
	stride, few := max(1, k.server.Stride), 12
	if stride == 1 {
		few = 2
	}
	for {
		k.lastID = k.lastID%(stride*uint16(few+len(k.open))) + 1
		k.lastID += (stride - k.lastID%stride) % stride
		if !slices.ContainsFunc(k.open, func(o *out) bool { return o.packet == k.lastID }) {
			return k.lastID
		}
	}
}

// repeat sends again what is not finished.
func (k *keep) repeat() {
	for _, o := range k.open {
		if o.released {
			k.link.write(&wire.Pubrel{PacketID: o.packet})
			continue
		}
		o.on = k.link
		k.link.publish(o, !k.server.NoDup)
	}
}

func (k *keep) find(packet uint16) *out {
	for _, o := range k.open {
		if o.packet == packet {
			return o
		}
	}
	return nil
}

func (k *keep) finish(o *out) {
	k.open = slices.DeleteFunc(k.open, func(other *out) bool { return other == o })
}
