package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

// modelServer is an MQTT server as the specification describes it, with maps
// and slices and no regard for speed. It shares no code with Sender and
// Receiver and complains about whatever a client must not do.
type modelServer struct {
	v       wire.Version
	lazy    bool // answers only when told to; otherwise at once
	session *modelSession
	fault   error

	// The connection.
	up         bool
	dec        wire.Decoder
	in, out    []byte
	answers    []wire.Packet   // not sent yet, in order
	receiveMax int             // ours
	counting   map[uint16]bool // messages of this connection that count against receiveMax
	arrivals   []modelSent     // what we sent, in order, until the client answers
	resumed    bool
	published  bool // the client sent a PUBLISH above QoS 0 on this connection
	clientMax  int  // the client's receive maximum
	confirmed  bool // the client has read our CONNACK
	aliasMax   uint16
	aliases    map[uint16]string

	// What the world compares.
	got  []string // payloads the application behind the server has received
	sent []string // payloads it has sent

	aliased int // messages that had an alias in place of their topic
}

type modelSession struct {
	held   map[uint16]bool   // identifiers of QoS 2 messages between PUBREC and PUBREL
	inUse  map[uint16]string // identifiers the client may not give to something else, with the payload
	open   []*modelOut       // sent to the client, in order
	queue  []*modelOut       // not sent yet
	lastID uint16
}

type modelOut struct {
	id       uint16
	qos      wire.QoS
	payload  string
	released bool // PUBREC came; PUBREL is what is repeated
	counts   bool // on this connection
}

type modelSent struct {
	id  uint16
	qos wire.QoS
}

func newModelSession() *modelSession {
	return &modelSession{held: map[uint16]bool{}, inUse: map[uint16]string{}}
}

func (m *modelServer) complain(format string, args ...any) {
	if m.fault == nil {
		m.fault = fmt.Errorf("server: "+format, args...)
	}
}

// lost ends the connection. A new session stays, even if its CONNACK did not get
// through.
func (m *modelServer) lost() {
	m.up, m.in, m.out, m.answers, m.arrivals = false, nil, nil, nil, nil
	if m.session == nil {
		return
	}
	for _, o := range m.session.open {
		o.counts = false
	}
}

// forget loses the session and all messages in it.
func (m *modelServer) forget() { m.session = nil }

// accept begins a connection. CONNECT is still to come.
func (m *modelServer) accept(receiveMax int) {
	m.lost()
	m.dec = wire.Decoder{From: wire.FromClient}
	m.aliases = map[uint16]string{}
	m.receiveMax, m.counting, m.published, m.confirmed = receiveMax, map[uint16]bool{}, false, false
}

// receive takes bytes from the client and handles the whole packets in them.
func (m *modelServer) receive(b []byte) {
	m.in = append(m.in, b...)
	for m.fault == nil {
		v := m.v
		h, n, err := wire.ParseHeader(m.in, v)
		if err != nil {
			m.complain("header: %v", err)
			return
		}
		if n == 0 || len(m.in) < h.Size {
			return
		}
		p, err := m.dec.Decode(h, slices.Clone(m.in[n:h.Size]))
		if err != nil {
			m.complain("%v", err)
			return
		}
		m.in = m.in[h.Size:]
		m.handle(p)
		if !m.lazy {
			m.flush(len(m.answers))
		}
	}
}

// flush sends the next n answers, and then messages as far as the client allows.
func (m *modelServer) flush(n int) {
	if !m.up {
		return
	}
	for _, p := range m.answers[:n] {
		switch p := p.(type) {
		case *wire.Puback:
			delete(m.counting, p.PacketID)
			delete(m.session.inUse, p.PacketID)
		case *wire.Pubcomp:
			delete(m.counting, p.PacketID)
			delete(m.session.inUse, p.PacketID)
		case *wire.Suback:
			delete(m.session.inUse, p.PacketID)
		case *wire.Unsuback:
			delete(m.session.inUse, p.PacketID)
		}
		m.write(p)
	}
	m.answers = m.answers[n:]
	m.deliver()
}

func (m *modelServer) write(p wire.Packet) {
	var err error
	if m.out, err = p.Append(m.out, m.v); err != nil {
		m.complain("encode: %v", err)
	}
}

// publish is the application behind the server sending to the client.
func (m *modelServer) publish(payload string, qos wire.QoS) {
	if m.session == nil {
		return
	}
	m.sent = append(m.sent, payload)
	m.session.queue = append(m.session.queue, &modelOut{qos: qos, payload: payload})
	if !m.lazy {
		m.deliver()
	}
}

func (m *modelServer) deliver() {
	if !m.up {
		return
	}
	s := m.session
	for len(s.queue) > 0 {
		o := s.queue[0]
		if o.qos > 0 {
			counted := 0
			for _, o := range s.open {
				if o.counts {
					counted++
				}
			}
			if counted >= m.clientMax {
				return
			}
			for taken := true; taken; {
				s.lastID = s.lastID%uint16(12+len(s.open)) + 1 // few, so that they are used again soon
				taken = slices.ContainsFunc(s.open, func(o *modelOut) bool { return o.id == s.lastID })
			}
			o.id = s.lastID
			s.open = append(s.open, o)
		}
		s.queue = s.queue[1:]
		m.send(o, false)
	}
}

func (m *modelServer) send(o *modelOut, again bool) {
	m.write(&wire.Publish{Topic: "t", Payload: []byte(o.payload), QoS: o.qos, PacketID: o.id, Duplicate: again})
	if o.qos > 0 {
		o.counts = true
		m.arrivals = append(m.arrivals, modelSent{o.id, o.qos})
	}
}

func (m *modelServer) handle(p wire.Packet) {
	if _, first := p.(*wire.Connect); !m.up != first {
		m.complain("%v while up is %t", p.Type(), m.up)
		return
	}
	s := m.session
	switch p := p.(type) {
	case *wire.Connect:
		m.connect(p)
	case *wire.Publish:
		m.takePublish(p)
	case *wire.Pubrel:
		if m.resumed && m.published && strings.HasPrefix(s.inUse[p.PacketID], "old ") {
			m.complain("PUBREL %d of an earlier connection after a PUBLISH", p.PacketID)
		}
		if !s.held[p.PacketID] && m.v == wire.V5 && p.ReasonCode == 0 && !m.resumed {
			m.complain("PUBREL %d for nothing", p.PacketID)
		}
		code := wire.Success
		if !s.held[p.PacketID] {
			code = wire.PacketIdentifierNotFound
		}
		delete(s.held, p.PacketID)
		m.answers = append(m.answers, &wire.Pubcomp{PacketID: p.PacketID, ReasonCode: code})
	case *wire.Subscribe:
		m.claim(p.PacketID, "request")
		m.answers = append(m.answers, &wire.Suback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))})
	case *wire.Unsubscribe:
		m.claim(p.PacketID, "request")
		var codes []wire.ReasonCode
		if m.v == wire.V5 {
			codes = make([]wire.ReasonCode, len(p.Filters))
		}
		m.answers = append(m.answers, &wire.Unsuback{PacketID: p.PacketID, ReasonCodes: codes})
	case *wire.Puback:
		m.answered(p.PacketID, wire.AtLeastOnce)
		m.finish(p.PacketID)
	case *wire.Pubrec:
		m.answered(p.PacketID, wire.ExactlyOnce)
		for _, o := range s.open {
			if o.id == p.PacketID {
				o.released = true
			}
		}
		m.answers = append(m.answers, &wire.Pubrel{PacketID: p.PacketID})
	case *wire.Pubcomp:
		m.finish(p.PacketID)
	default:
		m.complain("unexpected %v", p.Type())
	}
}

func (m *modelServer) connect(p *wire.Connect) {
	m.up = true
	m.resumed = m.session != nil && !p.CleanStart
	if !m.resumed {
		m.session = newModelSession()
	}
	s := m.session
	for id, what := range s.inUse {
		if what == "request" {
			delete(s.inUse, id) // requests die with their connection
		} else if s.held[id] {
			s.inUse[id] = "old " + strings.TrimPrefix(what, "old ")
		}
	}
	ack := &wire.Connack{SessionPresent: m.resumed && m.v != wire.V31}
	m.clientMax = 11
	if m.v == wire.V5 {
		ack.ReceiveMaximum, ack.TopicAliasMaximum = uint16(m.receiveMax), m.aliasMax
		if p.ReceiveMaximum > 0 {
			m.clientMax = int(p.ReceiveMaximum)
		}
	}
	m.write(ack)
	for _, o := range s.open {
		if o.released {
			m.write(&wire.Pubrel{PacketID: o.id})
		} else {
			m.send(o, true)
		}
	}
}

// claim checks that a new use of an identifier is allowed.
func (m *modelServer) claim(id uint16, what string) {
	if was, used := m.session.inUse[id]; used {
		m.complain("identifier %d for %q is still in use for %q", id, what, was)
	}
	m.session.inUse[id] = what
}

// modelTopic is the topic of the client's message with this payload. There are
// two, so that a topic comes again before the connection breaks.
func modelTopic(payload string) string {
	return fmt.Sprint("topic/", payload[len(payload)-1]%2)
}

// resolve finds the topic of p by its alias.
func (m *modelServer) resolve(p *wire.Publish) string {
	if p.Properties == nil || p.Properties.TopicAlias == 0 {
		return p.Topic
	}
	alias := p.Properties.TopicAlias
	if alias > m.aliasMax {
		m.complain("alias %d is above %d", alias, m.aliasMax)
	}
	if p.Duplicate {
		m.complain("a repeat with an alias")
	}
	if p.Topic != "" {
		m.aliases[alias] = p.Topic
	} else {
		m.aliased++
	}
	return m.aliases[alias]
}

func (m *modelServer) takePublish(p *wire.Publish) {
	payload := string(p.Payload)
	if topic := m.resolve(p); topic != modelTopic(payload) {
		m.complain("%q came on topic %q", payload, topic)
	}
	if p.QoS == wire.AtMostOnce {
		if p.Duplicate {
			m.complain("DUP with QoS 0")
		}
		m.got = append(m.got, payload)
		return
	}
	s := m.session
	m.published = true
	if p.Duplicate {
		if !m.resumed {
			m.complain("DUP for %d on a new session", p.PacketID)
		}
		if was, used := s.inUse[p.PacketID]; used && strings.TrimPrefix(was, "old ") != payload {
			m.complain("repeat of %d is %q, was %q", p.PacketID, payload, was)
		}
		s.inUse[p.PacketID] = payload
	} else {
		m.claim(p.PacketID, payload)
	}
	m.counting[p.PacketID] = true
	if m.v == wire.V5 && len(m.counting) > m.receiveMax {
		m.complain("%d open messages, receive maximum is %d", len(m.counting), m.receiveMax)
	}
	if p.QoS == wire.AtLeastOnce {
		m.got = append(m.got, payload)
		m.answers = append(m.answers, &wire.Puback{PacketID: p.PacketID})
		return
	}
	if !s.held[p.PacketID] {
		s.held[p.PacketID] = true
		m.got = append(m.got, payload)
	}
	m.answers = append(m.answers, &wire.Pubrec{PacketID: p.PacketID})
}

// answered checks that the client answers in the order in which we sent.
func (m *modelServer) answered(id uint16, qos wire.QoS) {
	i := slices.IndexFunc(m.arrivals, func(a modelSent) bool { return a.qos == qos })
	if i < 0 || m.arrivals[i].id != id {
		m.complain("answer for %d out of order; sent were %v", id, m.arrivals)
		return
	}
	m.arrivals = slices.Delete(m.arrivals, i, i+1)
}

func (m *modelServer) finish(id uint16) {
	m.session.open = slices.DeleteFunc(m.session.open, func(o *modelOut) bool { return o.id == id })
}
