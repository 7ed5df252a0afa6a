package main

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

// server is the smallest server that a client can work with. It remembers nothing of
// messages and filters, so that what is measured is the client.
type server struct {
	ln *broker.MemoryListener

	mu      sync.Mutex
	conn    net.Conn // the last one
	out     []byte   // for it
	id      uint16   // of the last message
	got     int      // PUBLISH packets that came
	acks    int      // acknowledgements of messages that were sent
	silent  bool     // acknowledges nothing
	unacked []uint16 // meanwhile
	moved   chan struct{}
}

func newServer() *server {
	return &server{ln: broker.NewMemoryListener(1 << 20), moved: make(chan struct{}, 1)}
}

// serve accepts connections until the listener is closed.
func (s *server) serve() {
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			return
		}
		go s.handle(nc)
	}
}

// connect starts the server and connects a client to it.
func (s *server) connect(cfg mqtt.Config) (*mqtt.Client, error) {
	go s.serve()
	return mqtt.Connect(context.Background(), "mqtt://memory", s.config(cfg))
}

func (s *server) config(cfg mqtt.Config) mqtt.Config {
	cfg.Dial, cfg.Inflight = s.ln.Dial, 65_535
	return cfg
}

// close ends the server and its connection.
func (s *server) close() {
	s.ln.Close()
	s.hangUp()
}

func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
	}
}

func (s *server) handle(nc net.Conn) {
	defer nc.Close()
	r := wire.NewReader(nc, 0, 0)
	d := wire.Decoder{From: wire.FromClient, MaxElements: 1 << 24, MaxPropertyBytes: 1 << 28}
	for r.Fill() == nil {
		for {
			h, body, ok, err := r.Next()
			if err != nil {
				return
			}
			if !ok {
				break
			}
			p, err := d.Decode(h, body)
			if err != nil {
				return
			}
			r.SetVersion(d.Version)
			if !s.answer(nc, p) {
				return
			}
		}
		if s.flush(nc) != nil {
			return
		}
	}
}

// answer puts the answer to p into the buffer.
func (s *server) answer(nc net.Conn, p wire.Packet) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p := p.(type) {
	case *wire.Connect:
		s.conn, s.out = nc, nil
		s.append(&wire.Connack{SessionPresent: !p.CleanStart})
	case *wire.Publish:
		s.got++
		if p.QoS == wire.AtMostOnce {
			break
		}
		if s.silent {
			s.unacked = append(s.unacked, p.PacketID)
			break
		}
		s.append(&wire.Puback{PacketID: p.PacketID})
	case *wire.Puback:
		s.acks++
	case *wire.Subscribe:
		s.append(&wire.Suback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))})
	case *wire.Unsubscribe:
		s.append(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))})
	case *wire.Pingreq:
		s.append(&wire.Pingresp{})
	case *wire.Disconnect:
		return false
	}
	select {
	case s.moved <- struct{}{}:
	default:
	}
	return true
}

func (s *server) append(p wire.Packet) {
	s.out, _ = p.Append(s.out, wire.V5) // what the client asks for has an encoding
}

func (s *server) flush(nc net.Conn) error {
	s.mu.Lock()
	out := s.out
	s.out = nil
	s.mu.Unlock()
	if len(out) == 0 {
		return nil
	}
	_, err := nc.Write(out)
	return err
}

// acknowledge ends the silence.
func (s *server) acknowledge() error {
	s.mu.Lock()
	s.silent = false
	for _, id := range s.unacked {
		s.append(&wire.Puback{PacketID: id})
	}
	s.unacked = nil
	nc := s.conn
	s.mu.Unlock()
	return s.flush(nc)
}

// send sends n messages on a topic, each with the identifier of a Subscription.
func (s *server) send(n int, topic func(i int) string, id func(i int) uint32, qos wire.QoS) error {
	s.mu.Lock()
	nc := s.conn
	s.mu.Unlock()
	var out []byte
	for i := range n {
		p := wire.Publish{Topic: topic(i), Payload: payload, QoS: qos}
		if sub := id(i); sub != 0 {
			p.Properties = &wire.PublishProperties{SubscriptionIDs: []uint32{sub}}
		}
		if qos > 0 {
			s.id = max(s.id+1, 1)
			p.PacketID = s.id
		}
		var err error
		if out, err = p.Append(out, wire.V5); err != nil {
			return err
		}
		if len(out) > 32<<10 || i == n-1 {
			if _, err := nc.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	return nil
}

// await waits until so many PUBLISH packets have come.
func (s *server) await(got int) error {
	for {
		s.mu.Lock()
		n := s.got
		s.mu.Unlock()
		if n >= got {
			return nil
		}
		if _, ok := <-s.moved; !ok {
			return errors.New("server ended")
		}
	}
}

var payload = make([]byte, 16)

// topicOf is the i-th topic. It is short, because the broker bounds the text of the
// filters of a session.
func topicOf(i int) string { return strconv.FormatInt(int64(i), 36) }
