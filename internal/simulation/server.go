package simulation

import (
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// server is an MQTT server as the specification describes it, with maps and slices.
type server struct {
	ServerSetup
	w     *world
	name  string
	keeps map[*device]*keep // the sessions
	saved map[*device]*keep // nil: nothing was saved
	links []*link

	restored bool // it went back to a save once
	refusing int  // connections
	leastQoS wire.QoS
	own      int // messages of its own program
}

func newServer(w *world, i int, of ServerSetup) *server {
	return &server{ServerSetup: of, w: w, name: fmt.Sprint("server", i), keeps: make(map[*device]*keep), leastQoS: of.MaximumQoS}
}

func (s *server) dial(d *device) *pipe {
	p := &pipe{client: d}
	p.link = &link{server: s, pipe: p, dec: wire.Decoder{From: wire.FromClient}, heard: s.w.now}
	if s.Engine {
		p.link.engine = session.NewServer(session.ServerSettings{TopicAliases: s.w.schedule.Setup.AliasMax})
		p.link.engine.Open(s.w.now)
	}
	s.links = append(s.links, p.link)
	return p
}

// pass passes a message on to everybody who has subscribed.
func (s *server) pass(m *message) {
	s.w.note("                                        %s passes on %s", s.name, m.payload)
	s.w.came(m, s)
	for _, d := range s.w.devices {
		if k := s.keeps[d]; k != nil {
			if sub, ok := k.subs[m.topic]; ok {
				k.add(m, sub)
			}
		}
	}
}

// publishOwn is a program behind the server that publishes.
func (s *server) publishOwn(qos wire.QoS, topic string) {
	s.own++
	m := &message{payload: fmt.Sprintf("%s-q%d-%d", s.name, qos, s.own), topic: topic, qos: qos}
	s.w.publish(m)
	s.pass(m)
	s.flush(false)
}

// flush sends what is to be sent; all means whatever the server is like.
func (s *server) flush(all bool) {
	for _, d := range s.w.devices {
		if k := s.keeps[d]; k != nil && k.link != nil && (all || !s.Lazy) {
			k.link.answer(1 << 20)
		}
	}
}

func (s *server) answer(n int) {
	for _, d := range s.w.devices {
		if k := s.keeps[d]; k != nil && k.link != nil {
			k.link.answer(n)
		}
	}
}

// hangUp ends the connections of all clients.
func (s *server) hangUp(how int) {
	s.w.hangups++
	for _, l := range s.current() {
		if how%3 == 0 && l.version == wire.V5 && l.keep != nil && l.engine == nil {
			l.write(&wire.Disconnect{ReasonCode: []wire.ReasonCode{wire.ServerBusy, wire.UnspecifiedError, wire.AdministrativeAction}[how/3%3]})
		}
		l.pipe.reset = how%3 == 1
		l.end("the server hangs up")
	}
}

func (s *server) current() []*link {
	list := s.links
	s.links = nil
	open := list[:0:0]
	for _, l := range list {
		if !l.pipe.serverGone {
			open = append(open, l)
		}
	}
	s.links = append(s.links, open...)
	return open
}

func (s *server) cutAll() {
	for _, l := range s.current() {
		l.pipe.reset = true
		l.end("the server restarts")
	}
}

// forget loses all sessions.
func (s *server) forget() {
	s.cutAll()
	for _, k := range s.keeps {
		k.lose()
	}
	clear(s.keeps)
	s.saved = nil
}

func (s *server) save() {
	if s.Engine {
		return
	}
	s.saved = make(map[*device]*keep, len(s.keeps))
	for d, k := range s.keeps {
		s.saved[d] = k.clone()
	}
}

// restore comes back with the sessions of the last save.
func (s *server) restore() {
	if s.saved == nil {
		return
	}
	s.cutAll()
	s.restored = true
	clear(s.keeps)
	for d, k := range s.saved {
		s.keeps[d] = k.clone()
		for _, m := range k.held {
			m.exempt, m.exposed = true, true
		}
	}
	for _, m := range s.w.messages {
		if m.ended == 0 {
			m.exempt, m.exposed = true, true
		}
	}
	for _, d := range s.w.deliveries {
		if d.from.server == s {
			d.exempt = true
		}
	}
}

// shrink changes what later connections are told.
func (s *server) shrink(a, b int) {
	s.ReceiveMax = []uint16{1, 2, 0, 5}[a%4]
	s.AliasMax = uint16(b % 4)
	if a%5 == 0 {
		s.MaximumQoS = wire.AtLeastOnce
		s.leastQoS = min(s.leastQoS, s.MaximumQoS)
	}
}

// tick ends connections whose clients have been silent for too long.
func (s *server) tick() {
	for _, l := range s.links {
		if limit := time.Duration(l.keepAlive) * time.Second * 3 / 2; !l.pipe.serverGone && limit > 0 && s.w.now.Sub(l.heard) > limit {
			l.pipe.reset = true
			l.end("the client is silent")
		}
	}
}
