package simulation

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// monitor sees all packets of one client, in the order in which the engine sends and gets
// them, and knows what the client may do.
type monitor struct {
	d       *device
	version wire.Version
	out, in wire.Decoder
	last    time.Time // when the client has sent something
	begun   bool      // CONNECT was sent
	fresh   bool      // the server has begun a session
	up      bool      // CONNACK has accepted the connection
	ended   bool      // DISCONNECT was sent

	// What the server allows on this connection.
	receiveMax, aliasMax int
	maximumQoS           wire.QoS

	unwritten []uint16 // exchanges of which something was sent
	aliases   map[uint16]string
	counted   map[uint16]bool     // identifiers that take quota
	exchange  map[uint16]exchange // by identifier, of the session
	arrived   []arrival           // that the client has not answered, in order
	requests  map[uint16]bool
	asked     map[uint16]int // PUBRELs that wait for PUBCOMP
}

// exchange is one message of the client in the eyes of the protocol.
type exchange struct {
	*message
	released bool // PUBREC has come
	old      bool // it is from an earlier connection of the session and not repeated yet
	gone     bool // the engine has given it up
	unsure   bool // PUBREC has come, and the present process may not know it
	// What of it was written, and not only taken from the engine.
	written, releaseWritten bool
}

type arrival struct {
	*delivery
	packet uint16
}

// restart is the beginning of a process. stored says that it continues the last one: it must
// know what that has written, and nothing else.
func (m *monitor) restart(stored bool) {
	for id, x := range m.exchange {
		x.unsure = x.unsure || x.released && !x.releaseWritten
		x.released = x.releaseWritten
		m.exchange[id] = x
		if !stored || !x.written || !x.durable || x.exempt || x.gone {
			delete(m.exchange, id)
		}
	}
	if m.exchange == nil {
		m.exchange = make(map[uint16]exchange)
	}
}

// wrote says that everything was written that was sent so far.
func (m *monitor) wrote() {
	for _, id := range m.unwritten {
		if x, ok := m.exchange[id]; ok {
			x.written, x.releaseWritten, x.message.written = true, x.released, true
			m.exchange[id] = x
		}
	}
	m.unwritten = m.unwritten[:0]
}

// begin is the beginning of a connection.
func (m *monitor) begin(v wire.Version) {
	m.version, m.begun, m.ended, m.up, m.last = v, false, false, false, m.d.w.now
	m.out, m.in = wire.Decoder{From: wire.FromClient}, wire.Decoder{Version: v}
	m.aliases, m.counted, m.requests = make(map[uint16]string), make(map[uint16]bool), make(map[uint16]bool)
	m.asked, m.arrived, m.unwritten = make(map[uint16]int), nil, nil
	m.receiveMax, m.aliasMax, m.maximumQoS = 0, 0, wire.ExactlyOnce
}

// open is the beginning of a session's connection; proven says that the session is the one
// that has seen everything, present that there was one.
func (m *monitor) open(proven, present bool) {
	m.up, m.fresh, m.last = true, !present, m.d.w.now
	if !proven {
		clear(m.exchange)
	}
	for id, x := range m.exchange {
		x.old = !x.gone
		m.exchange[id] = x
	}
}

func (m *monitor) fail(format string, args ...any) {
	m.d.w.fail(m.d.name+" breaks a rule: "+format, args...)
}

// silence checks that the client sends something within each keep-alive interval.
func (m *monitor) silence() {
	if limit := time.Duration(m.d.w.schedule.Setup.KeepAlive) * time.Second; m.up && limit > 0 && m.d.w.now.Sub(m.last) > limit {
		m.fail("it sends nothing for longer than the keep-alive interval")
	}
}

// sends sees bytes that the client sends.
func (m *monitor) sends(b []byte) {
	m.silence()
	m.last = m.d.w.now
	for len(b) > 0 {
		h, n, err := wire.ParseHeader(b, m.version)
		if err != nil || n == 0 || len(b) < h.Size {
			m.fail("it sends half a packet: %v", err)
			return
		}
		p, err := m.out.Decode(h, slices.Clone(b[n:h.Size]))
		if err != nil {
			m.fail("it sends what cannot be decoded: %w", err)
			return
		}
		b = b[h.Size:]
		if m.d.w.recording {
			m.d.w.note("%s: %s", m.d.name, words(p))
		}
		if _, first := p.(*wire.Connect); first == m.begun || m.ended {
			m.fail("%v out of turn", h.Type)
		}
		m.begun = true
		m.sent(p)
	}
}

func (m *monitor) sent(packet wire.Packet) {
	switch p := packet.(type) {
	case *wire.Publish:
		m.sentPublish(p)
	case *wire.Puback:
		m.answered(p.PacketID, wire.AtLeastOnce)
	case *wire.Pubrec:
		m.answered(p.PacketID, wire.ExactlyOnce)
	case *wire.Pubrel:
		if x, ok := m.exchange[p.PacketID]; ok {
			if !x.released && !x.unsure && x.qos == wire.ExactlyOnce {
				m.fail("PUBREL %d before PUBREC of %s", p.PacketID, x.payload)
			}
			x.old, x.released = false, x.released || x.unsure
			m.exchange[p.PacketID] = x
			m.unwritten = append(m.unwritten, p.PacketID)
		}
	case *wire.Pubcomp:
		if m.asked[p.PacketID]--; m.asked[p.PacketID] < 0 {
			m.fail("PUBCOMP %d without PUBREL", p.PacketID)
		}
	case *wire.Subscribe:
		m.request(p.PacketID)
	case *wire.Unsubscribe:
		m.request(p.PacketID)
	case *wire.Disconnect:
		m.ended = true
	}
}

func (m *monitor) request(id uint16) {
	if x, used := m.exchange[id]; used || m.requests[id] {
		m.fail("identifier %d is used for a request and for %v", id, x.message)
	}
	m.requests[id] = true
}

// delivery finds what was sent to the client, by its payload.
func (m *monitor) delivery(payload string) *delivery {
	list := m.d.w.deliveries
	_, number, _ := strings.Cut(payload, "#")
	i, err := strconv.Atoi(number)
	if err != nil || i >= len(list) || list[i].text != payload || list[i].to != m.d {
		return nil
	}
	return list[i]
}
