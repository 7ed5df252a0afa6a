package simulation

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// link is a server's end of a connection.
type link struct {
	server    *server
	pipe      *pipe
	keep      *keep // nil: CONNECT has not come
	version   wire.Version
	dec       wire.Decoder
	in        []byte
	answers   []wire.Packet
	aliases   map[uint16]string // that the client has set
	aliasing  []string          // that we have set
	aliasMax  uint16            // that the client has announced
	clientMax int
	keepAlive uint16
	heard     time.Time

	engine *session.Server // of a server with Engine
}

func (l *link) receive(b []byte) {
	if l.engine != nil {
		l.receiveEngine(b)
		return
	}
	l.heard = l.server.w.now
	l.in = append(l.in, b...)
	for !l.pipe.serverGone {
		h, n, err := wire.ParseHeader(l.in, l.version)
		if err == nil && (n == 0 || len(l.in) < h.Size) {
			return
		}
		var p wire.Packet
		if err == nil {
			p, err = l.dec.Decode(h, slices.Clone(l.in[n:h.Size]))
		}
		if err != nil {
			l.server.w.fail("%s: %w", l.server.name, err)
			return
		}
		l.in = l.in[h.Size:]
		l.handle(p)
		if !l.server.Lazy {
			l.server.flush(false)
		}
	}
}

// end closes the server's side.
func (l *link) end(why string) {
	if l.pipe.serverGone {
		return
	}
	l.server.w.note("                                        %s: %s", l.server.name, why)
	l.pipe.serverGone = true
	if l.engine != nil {
		l.engine.Lost()
		if l.keep != nil {
			l.completed()
		}
	}
	if k := l.keep; k != nil && k.link == l {
		k.link = nil
		if k.ends {
			k.lose()
			delete(l.server.keeps, k.to)
		}
	}
}

func (l *link) write(p wire.Packet) {
	b, err := p.Append(nil, l.version)
	if err != nil {
		l.server.w.fail("%s cannot encode: %w", l.server.name, err)
		return
	}
	if l.server.w.recording {
		l.server.w.note("                                        %s -> %s: %s", l.server.name, l.pipe.client.name, words(p))
	}
	fly(&l.pipe.down, l.pipe.downDead, b)
}

// answer sends the next n answers, and then messages as far as the client allows.
func (l *link) answer(n int) {
	if l.pipe.serverGone || l.keep == nil {
		return
	}
	if l.engine != nil {
		l.runTasks(n)
		return
	}
	n = min(n, len(l.answers))
	for _, p := range l.answers[:n] {
		l.write(p)
	}
	l.answers = l.answers[n:]
	l.keep.deliver()
}

func (l *link) later(p wire.Packet) { l.answers = append(l.answers, p) }

// properties returns those of d, except the alias.
func (s *server) properties(d *delivery) *wire.PublishProperties {
	q := &wire.PublishProperties{}
	if d.id != 0 {
		q.SubscriptionIDs = []uint32{d.id}
	}
	if d.number%2 == 0 {
		q.ContentType = "text"
	}
	return q
}

// publish sends o, with an alias where the client takes them.
func (l *link) publish(o *out, again bool) {
	p := &wire.Publish{Topic: o.topic, Payload: []byte(o.text), QoS: o.qos, PacketID: o.packet, Duplicate: again}
	if again {
		l.server.w.tally.Repeats++
	}
	if l.version == wire.V5 {
		q := l.server.properties(o.delivery)
		if at := slices.Index(l.aliasing, o.topic); at >= 0 {
			p.Topic, q.TopicAlias = "", uint16(at+1)
		} else if len(l.aliasing) < int(l.aliasMax) {
			l.aliasing = append(l.aliasing, o.topic)
			q.TopicAlias = uint16(len(l.aliasing))
		}
		if o.id != 0 || o.number%2 == 0 || q.TopicAlias != 0 {
			p.Properties = q
		}
	}
	l.write(p)
}
