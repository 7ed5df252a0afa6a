package cluster

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/seed65a45251/mqtt/wire"
)

// wiretap keeps what a client's connections carry, so that what goes wrong can be laid to
// the client or to the cluster.
type wiretap struct {
	mu          sync.Mutex
	connections int
	seen        []seen
}

// seen is one packet on the wire of a client.
type seen struct {
	connection int // of the client, from 1
	node       string
	from       wire.Sender
	packet     wire.Packet
}

// dial is for Config.Dial.
func (w *wiretap) dial(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.connections++
	at := seen{connection: w.connections, node: address}
	// The answer of NATS to a CONNECT of 5.0 has the shape of 3.1.1, too.
	in := &stream{tap: w, at: at, decoder: wire.Decoder{Version: wire.V311, From: wire.FromServer}}
	out := &stream{tap: w, at: at, decoder: wire.Decoder{From: wire.FromClient}}
	return &tapped{Conn: nc, in: in, out: out}, nil
}

// tapped is a connection of which a wiretap has a copy.
type tapped struct {
	net.Conn
	in, out *stream
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.take(b[:n])
	return n, err
}

func (c *tapped) Write(b []byte) (int, error) {
	c.out.take(b) // before the answer to it can come
	return c.Conn.Write(b)
}

// stream is one direction of a connection.
type stream struct {
	tap     *wiretap
	at      seen
	decoder wire.Decoder
	rest    []byte
	broken  bool
}

// take takes what comes next. After what is no packet, it takes nothing more.
func (s *stream) take(b []byte) {
	if s.broken {
		return
	}
	s.rest = append(s.rest, b...)
	for {
		h, n, err := wire.ParseHeader(s.rest, wire.V311)
		if s.broken = err != nil; s.broken || n == 0 || len(s.rest) < h.Size {
			return
		}
		body := append([]byte(nil), s.rest[n:h.Size]...)
		s.rest = s.rest[h.Size:]
		at := s.at
		at.from = s.decoder.From
		if at.packet, err = s.decoder.Decode(h, body); err != nil {
			s.broken = true
			return
		}
		s.tap.mu.Lock()
		s.tap.seen = append(s.tap.seen, at)
		s.tap.mu.Unlock()
	}
}

// messages returns the messages that came from the server, or went to it, in their order,
// without those of before.
func (w *wiretap) messages(from wire.Sender) []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []message
	for _, s := range w.seen {
		if p, ok := s.packet.(*wire.Publish); ok && s.from == from {
			found = append(found, messageOf(p.Topic, p.Payload))
		}
	}
	return found
}

// releasedAgain reports whether the client has sent the PUBREL of a message on one
// connection and again on another, where the server has answered it, as it should: the
// server had the message at PUBREC, and has told the client twice that all is well.
func (w *wiretap) releasedAgain(m message) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, owned, released := uint16(0), false, map[int]bool{}
	for _, s := range w.seen {
		switch p := s.packet.(type) {
		case *wire.Publish:
			if p.QoS == wire.ExactlyOnce && messageOf(p.Topic, p.Payload) == m {
				id, owned, released = p.PacketID, false, map[int]bool{}
			}
		case *wire.Pubrec:
			owned = owned || s.from == wire.FromServer && p.PacketID == id
		case *wire.Pubrel:
			if s.from == wire.FromClient && p.PacketID == id && owned {
				released[s.connection] = true
			}
		case *wire.Pubcomp:
			if s.from == wire.FromServer && p.PacketID == id && owned {
				return len(released) > 1
			}
		}
	}
	return false
}

// trace says what the wire carried of the messages of a key from around a number, with all
// packets that have their identifiers, for what a failing test prints.
func (w *wiretap) trace(m message) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	const around = 2
	open := map[uint16]bool{}
	var b strings.Builder
	for _, s := range w.seen {
		text := ""
		switch p := s.packet.(type) {
		case *wire.Publish:
			found := messageOf(p.Topic, p.Payload)
			open[p.PacketID] = found.key == m.key && found.number >= m.number-around && found.number <= m.number+around
			if open[p.PacketID] {
				text = fmt.Sprintf("%v, QoS %d, identifier %d, DUP %v", found, p.QoS, p.PacketID, p.Duplicate)
			}
		case *wire.Connack:
			text = fmt.Sprintf("CONNACK %v, session present %v", p.ReasonCode, p.SessionPresent)
		default:
			if id := identifierOf(s.packet); open[id] {
				text = fmt.Sprintf("%v %d", s.packet.Type(), id)
			}
		}
		if text != "" {
			fmt.Fprintf(&b, "  connection %d to %s, from the %v: %s\n", s.connection, s.node, s.from, text)
		}
	}
	return b.String()
}

func identifierOf(p wire.Packet) uint16 {
	switch p := p.(type) {
	case *wire.Puback:
		return p.PacketID
	case *wire.Pubrec:
		return p.PacketID
	case *wire.Pubrel:
		return p.PacketID
	case *wire.Pubcomp:
		return p.PacketID
	}
	return 0
}
