package hostile

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/wire"
)

// Server accepts clients and does to each of them what its script says.
type Server struct {
	// Connack answers CONNECT. If nil, it is a plain one.
	Connack *wire.Connack
	// Raw is sent in place of the CONNACK. If nil, the CONNACK is sent.
	Raw []byte
	// Below takes each connection from its first byte on, in place of all that follows
	// here. If nil, MQTT is spoken.
	Below func(net.Conn)
	// Greet is called in place of any CONNACK. If nil, Connack or Raw is sent.
	Greet func(*Peer, *wire.Connect) error
	// Script runs once the client is connected. The connection ends with it. If nil,
	// the server obeys.
	Script func(*Peer)

	Accepted atomic.Int64 // connections so far

	listener net.Listener
	serving  sync.WaitGroup
	mu       sync.Mutex // guards the rest
	peers    map[*Peer]struct{}
	closed   bool
}

// Listen starts the server on a loopback address.
func (s *Server) Listen() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.listener, s.peers = ln, make(map[*Peer]struct{})
	s.serving.Go(s.accept)
	return nil
}

// Addr returns where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the server and its connections, and returns when they have ended.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.listener.Close()
	for p := range s.peers {
		p.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
}

func (s *Server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.Accepted.Add(1)
		p := NewPeer(nc, 0, wire.FromClient)
		s.mu.Lock()
		if s.closed {
			nc.Close()
		} else {
			s.peers[p] = struct{}{}
			s.serving.Go(func() { s.serve(p) })
		}
		s.mu.Unlock()
	}
}

func (s *Server) serve(p *Peer) {
	defer func() {
		p.Close()
		s.mu.Lock()
		delete(s.peers, p)
		s.mu.Unlock()
	}()
	if s.Below != nil {
		s.Below(p.Conn)
		return
	}
	packet, err := p.Receive()
	connect, ok := packet.(*wire.Connect)
	if err != nil || !ok || s.greet(p, connect) != nil {
		return
	}
	if s.Script == nil {
		Obey(p)
		return
	}
	s.Script(p)
}

func (s *Server) greet(p *Peer, connect *wire.Connect) error {
	switch {
	case s.Greet != nil:
		return s.Greet(p, connect)
	case s.Raw != nil:
		_, err := p.Write(s.Raw)
		return err
	case s.Connack != nil:
		return p.Send(s.Connack)
	}
	return p.Send(&wire.Connack{})
}

// Obey answers all packets as a server should, and sends nothing of its own.
func Obey(p *Peer) {
	for {
		packet, err := p.Receive()
		if err != nil {
			return
		}
		if p.Reply(packet) != nil {
			return
		}
	}
}

// Reply answers one packet as a server should.
func (p *Peer) Reply(packet wire.Packet) error {
	if answer := Answer(packet); answer != nil {
		return p.Send(answer)
	}
	return nil
}

// Answer returns a server's answer to a packet, or nil.
func Answer(packet wire.Packet) wire.Packet {
	switch packet := packet.(type) {
	case *wire.Subscribe:
		codes := make([]wire.ReasonCode, len(packet.Filters))
		for i, f := range packet.Filters {
			codes[i] = wire.ReasonCode(f.QoS)
		}
		return &wire.Suback{PacketID: packet.PacketID, ReasonCodes: codes}
	case *wire.Unsubscribe:
		return &wire.Unsuback{PacketID: packet.PacketID, ReasonCodes: make([]wire.ReasonCode, len(packet.Filters))}
	case *wire.Publish:
		return acknowledge(packet)
	case *wire.Pubrel:
		return &wire.Pubcomp{PacketID: packet.PacketID}
	case *wire.Pubrec:
		return &wire.Pubrel{PacketID: packet.PacketID}
	case *wire.Pingreq:
		return &wire.Pingresp{}
	}
	return nil
}

func acknowledge(p *wire.Publish) wire.Packet {
	switch p.QoS {
	case wire.AtLeastOnce:
		return &wire.Puback{PacketID: p.PacketID}
	case wire.ExactlyOnce:
		return &wire.Pubrec{PacketID: p.PacketID}
	}
	return nil
}
