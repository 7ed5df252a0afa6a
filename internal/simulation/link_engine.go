package simulation

import (
	"errors"
	"slices"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// A server with Engine set keeps its sessions in session.Server, and so in the halves that the
// broker uses. It has no Late, NoDup and Silent, and cannot go back to an older save.

// receiveEngine handles bytes from the client.
func (l *link) receiveEngine(b []byte) {
	l.heard = l.server.w.now
	l.in = append(l.in, b...)
	for !l.pipe.serverGone {
		h, n, err := wire.ParseHeader(l.in, l.version)
		if err == nil && (n == 0 || len(l.in) < h.Size) {
			break
		}
		if err == nil {
			body := slices.Clone(l.in[n:h.Size])
			l.in = l.in[h.Size:]
			err = l.engine.Handle(h, body, l.server.w.now)
		}
		if err != nil {
			l.server.w.fail("%s: %w", l.server.name, err)
			return
		}
		l.events()
	}
	l.server.flush(false)
}

func (l *link) events() {
	for _, e := range slices.Clone(l.engine.Events()) {
		switch p := e.Packet.(type) {
		case *wire.Connect:
			l.version = p.Version
			l.connectEngine(p)
		case *wire.Publish:
			l.takeEvent(p, e.Token)
		case *wire.Subscribe:
			codes := l.subscribe(p)
			l.putOff(l, func() error { return l.engine.Suback(&wire.Suback{PacketID: p.PacketID, ReasonCodes: codes}) })
		case *wire.Unsubscribe:
			for _, f := range p.Filters {
				delete(l.keep.subs, f)
			}
			codes := make([]wire.ReasonCode, len(p.Filters))
			l.putOff(l, func() error { return l.engine.Unsuback(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: codes}) })
		case *wire.Disconnect:
			l.end("DISCONNECT")
		}
	}
	l.engine.Recycle()
	l.completed()
}

func (l *link) connectEngine(p *wire.Connect) {
	s, d := l.server, l.pipe.client
	l.keepAlive = p.KeepAlive
	if s.refusing > 0 {
		s.refusing--
		l.check(l.engine.Refuse(&wire.Connack{ReasonCode: wire.ServerUnavailable}))
		l.writeEngine()
		l.end("CONNECT refused")
		return
	}
	k := s.keeps[d]
	if k != nil && k.link != nil {
		l.check(k.link.engine.Disconnect(&wire.Disconnect{ReasonCode: wire.SessionTakenOver}))
		k.link.writeEngine()
		k.link.end("taken over")
		k = s.keeps[d]
	}
	if k != nil && !p.CleanStart {
		l.engine.Adopt(k.engine)
	} else {
		if k != nil {
			k.lose()
		}
		k = newKeep(s, d)
		s.keeps[d] = k
	}
	l.keep, k.link, k.engine = k, l, l.engine
	k.ends = session.ConnectExpiry(p) == 0
	ack := &wire.Connack{ReceiveMaximum: s.ReceiveMax, TopicAliasMaximum: s.AliasMax}
	if s.MaximumQoS < wire.ExactlyOnce {
		ack.MaximumQoS = &s.MaximumQoS
	}
	l.check(l.engine.Accept(ack, s.w.now))
}

// takeEvent handles a PUBLISH.
func (l *link) takeEvent(p *wire.Publish, t session.Token) {
	s := l.server
	m := s.w.byPayload[string(p.Payload)]
	if m == nil || m.topic != p.Topic || m.by != l.pipe.client || m.qos != p.QoS {
		s.w.fail("%s got a message that nobody has published: %s", s.name, words(p))
		return
	}
	code := wire.Success
	switch {
	case s.Poison && m.topic == "poison":
		l.engine.Receiver.Drop(t)
		l.end("hangs up because of " + m.payload)
		return
	case s.Refuses && m.topic == "refused" && l.version == wire.V5 && p.QoS > 0:
		m.refused, code = true, wire.NotAuthorized
	default:
		s.pass(m)
	}
	k := l.keep
	l.putOff(nil, func() error {
		err := k.engine.Receiver.Ack(t, code)
		if errors.Is(err, session.ErrStale) {
			return nil // a repeat without DUP has taken its place
		}
		return err
	})
}

// task is an answer that was put off. link is the connection that it belongs to; nil: it
// belongs to the session.
type task struct {
	link *link
	do   func() error
}

func (l *link) putOff(of *link, do func() error) {
	l.keep.tasks = append(l.keep.tasks, task{of, do})
}

// submit sends d to the client, now or on a later connection.
func (k *keep) submit(d *delivery) {
	o := &out{delivery: d}
	p := wire.Publish{Topic: d.topic, Payload: []byte(d.text), QoS: d.qos, Properties: k.server.properties(d)}
	o.outgoing = &session.Outgoing{Publish: p, Owner: o}
	k.open = append(k.open, o)
	k.engine.Publish(o.outgoing, k.server.w.now)
}

// completed takes back what the client has acknowledged.
func (l *link) completed() {
	for _, of := range l.engine.Sender.Completed(nil) {
		o := of.Owner.(*out)
		switch err := of.Result().Err; {
		case errors.Is(err, session.ErrSessionEnded):
			o.lost = true
		case err == nil && o.qos > 0:
			l.acknowledged(o)
		}
		l.keep.finish(o)
	}
}

// runTasks does what the server has put off, up to n.
func (l *link) runTasks(n int) {
	k := l.keep
	n = min(n, len(k.tasks))
	for _, t := range k.tasks[:n] {
		if t.link == nil || t.link == l {
			l.check(t.do())
		}
	}
	k.tasks = k.tasks[n:]
	l.writeEngine()
}

func (l *link) check(err error) {
	if err != nil && l.server.w.fault == nil {
		l.server.w.fail("%s: %w", l.server.name, err)
	}
}

// writeEngine puts in flight what the engine has to send.
func (l *link) writeEngine() {
	for !l.pipe.serverGone && l.engine.Pending() > 0 {
		b := l.engine.Take(nil, l.server.w.now)
		if l.server.w.recording {
			l.noteBytes(b)
		}
		fly(&l.pipe.down, l.pipe.downDead, b)
	}
	if l.keep != nil {
		l.completed()
	}
}

func (l *link) noteBytes(b []byte) {
	dec := wire.Decoder{Version: l.version}
	for len(b) > 0 {
		h, n, err := wire.ParseHeader(b, l.version)
		if err != nil || n == 0 {
			return
		}
		if p, err := dec.Decode(h, b[n:h.Size]); err == nil {
			l.server.w.note("                                        %s -> %s: %s", l.server.name, l.pipe.client.name, words(p))
		}
		b = b[h.Size:]
	}
}
