package fuzztest

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// manners say what a scripted server does without being told.
type manners struct {
	refuse   bool // it takes no connection
	deaf     bool // it does not read
	accept   bool // CONNECT gets CONNACK
	confirm  bool // messages are acknowledged
	grant    bool // requests are granted
	pong     bool // PINGREQ is answered
	welcomes wire.Connack
}

// good are the manners of a server that does everything right.
var good = manners{accept: true, confirm: true, grant: true, pong: true}

// server is the scripted server, at every address. Its lock is never held while it waits.
type server struct {
	failf   func(format string, args ...any)
	connect func(address string, p *wire.Connect) // sees each CONNECT, with mu held; nil: nobody wants to

	mu        sync.Mutex
	changed   chan struct{} // closed when manners change
	manners   manners
	wasDeaf   bool
	peers     []*peer
	dialled   []string
	dialsMost int // more are a client that spins
	published map[string]*message
	sent      map[string]int // PUBLISHes to the client, by payload
	acks      map[uint16]int // of messages of the client, by identifier
	frames    int            // to the client
	packets   int            // from the client
}

func newServer(failf func(string, ...any)) *server {
	return &server{
		failf: failf, changed: make(chan struct{}), manners: good, dialsMost: 100,
		published: map[string]*message{}, sent: map[string]int{}, acks: map[uint16]int{},
	}
}

// behave changes the manners.
func (s *server) behave(f func(m *manners)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.manners)
	s.wasDeaf = s.wasDeaf || s.manners.deaf
	close(s.changed)
	s.changed = make(chan struct{})
}

// welcome returns what CONNACK says at present.
func (s *server) welcome() wire.Connack {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manners.welcomes
}

// dial is for Config.Dial.
func (s *server) dial(_ context.Context, _, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialled = append(s.dialled, address)
	if len(s.dialled) > s.dialsMost {
		panic("the client dials without end") // and leaves no time for anything else
	}
	if s.manners.refuse {
		return nil, net.ErrClosed
	}
	ours, theirs := pipe.New(buffer)
	p := &peer{s: s, net: ours, address: address, wake: make(chan struct{}, 1), out: wire.Decoder{Version: wire.V5}}
	p.out.Tolerate = func(*wire.Error) {}
	p.judge.begin(s.failf)
	s.peers = append(s.peers, p)
	go p.read()
	go p.write()
	return theirs, nil
}

// last returns the newest connection, or nil.
func (s *server) last() *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.peers) == 0 {
		return nil
	}
	return s.peers[len(s.peers)-1]
}

// dials returns the addresses that were dialled.
func (s *server) dials() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialled
}

// allow lets the client dial so often again.
func (s *server) allow(dials int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialsMost += dials
}

// buffer is how many bytes a connection holds in each direction.
const buffer = 4096

// peer is the server's end of a connection.
type peer struct {
	s       *server
	net     net.Conn
	address string
	wake    chan struct{} // for write

	// What follows is guarded by s.mu.
	judge  judge
	in     Frames
	frames Frames       // to the client
	out    wire.Decoder // of them
	queue  []byte
	over   bool
}

// read takes what the client sends, also what it has sent when the connection ends.
func (p *peer) read() {
	defer p.net.Close()
	b := make([]byte, 4096)
	for p.listen() {
		n, err := p.net.Read(b)
		p.take(b[:n])
		if err != nil {
			break
		}
	}
	p.end()
	if p.net.SetReadDeadline(time.Time{}) != nil {
		return
	}
	for {
		if _, unread := p.net.(*pipe.Conn).Arrived(); unread == 0 {
			return
		}
		n, err := p.net.Read(b)
		p.take(b[:n])
		if err != nil {
			return
		}
	}
}

// take takes bytes of the client.
func (p *peer) take(b []byte) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	for _, f := range p.in.Add(b, p.version()) {
		p.got(f)
	}
	if p.in.Broken {
		p.s.failf("the client sent what is no packet")
	}
}

func (p *peer) version() wire.Version { return p.judge.in.Version }

// listen waits while the server is deaf, and reports whether the connection goes on.
func (p *peer) listen() bool {
	for {
		p.s.mu.Lock()
		deaf, over, changed := p.s.manners.deaf, p.over, p.s.changed
		p.judge.late = p.judge.late || deaf
		p.s.mu.Unlock()
		if over || !deaf {
			return !over
		}
		<-changed
	}
}

// got judges a packet of the client and answers it as far as the manners say. Called with
// s.mu held.
func (p *peer) got(f Frame) {
	s := p.s
	s.packets++
	packet := p.judge.got(f, s)
	m := &s.manners
	switch packet := packet.(type) {
	case *wire.Connect:
		p.out.Version = p.version()
		if s.connect != nil {
			s.connect(p.address, packet)
		}
		if m.accept {
			welcome := m.welcomes
			welcome.AuthenticationMethod = packet.AuthenticationMethod
			p.sendLocked(&welcome)
		}
	case *wire.Publish:
		switch {
		case !m.confirm:
		case packet.QoS == wire.AtLeastOnce:
			p.sendLocked(&wire.Puback{PacketID: packet.PacketID})
		case packet.QoS == wire.ExactlyOnce:
			p.sendLocked(&wire.Pubrec{PacketID: packet.PacketID})
		}
	case *wire.Pubrec:
		if m.confirm && !packet.ReasonCode.Failed() {
			p.sendLocked(&wire.Pubrel{PacketID: packet.PacketID})
		}
	case *wire.Pubrel:
		if m.confirm {
			p.sendLocked(&wire.Pubcomp{PacketID: packet.PacketID})
		}
	case *wire.Subscribe:
		if m.grant {
			codes := make([]wire.ReasonCode, len(packet.Filters))
			for i, filter := range packet.Filters {
				codes[i] = wire.ReasonCode(filter.QoS)
			}
			p.sendLocked(&wire.Suback{PacketID: packet.PacketID, ReasonCodes: codes})
		}
	case *wire.Unsubscribe:
		if m.grant {
			p.sendLocked(&wire.Unsuback{PacketID: packet.PacketID, ReasonCodes: make([]wire.ReasonCode, len(packet.Filters))})
		}
	case *wire.Pingreq:
		if m.pong {
			p.sendLocked(&wire.Pingresp{})
		}
	case *wire.Auth:
		if m.grant {
			p.sendLocked(&wire.Auth{AuthenticationMethod: packet.AuthenticationMethod})
		}
	}
}

// send sends a packet, if it can be encoded.
func (p *peer) send(packet wire.Packet) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.sendLocked(packet)
}

func (p *peer) sendLocked(packet wire.Packet) {
	if b, err := packet.Append(nil, p.out.Version); err == nil {
		p.sendBytesLocked(b)
	}
}

// sendBytes sends any bytes.
func (p *peer) sendBytes(b []byte) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.sendBytesLocked(b)
}

func (p *peer) sendBytesLocked(b []byte) {
	if p.over || len(p.queue) > 1<<20 {
		return
	}
	p.queue = append(p.queue, b...)
	for _, f := range p.frames.Add(b, p.out.Version) {
		p.s.frames++
		p.judge.sent(f, p.s)
		if f.Type == wire.TypePublish {
			if m, err := p.out.Decode(f.Header, f.Body); err == nil {
				p.s.sent[string(m.(*wire.Publish).Payload)]++
			}
		}
	}
	p.signal()
}

func (p *peer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// write brings to the client what was queued.
func (p *peer) write() {
	for range p.wake {
		p.s.mu.Lock()
		b, over := p.queue, p.over
		p.queue = nil
		p.s.mu.Unlock()
		if over {
			return
		}
		if _, err := p.net.Write(b); err != nil {
			p.end()
			return
		}
	}
}

// end closes the connection, after what the client has sent was read.
func (p *peer) end() {
	p.s.mu.Lock()
	over := p.over
	p.over = true
	p.s.mu.Unlock()
	if over {
		return
	}
	if err := p.net.SetReadDeadline(time.Unix(1, 0)); err != nil {
		p.net.Close()
	}
	p.signal()
	p.s.behave(func(*manners) {}) // a deaf one hears of it
}

// hangUp closes all connections.
func (s *server) hangUp() {
	s.mu.Lock()
	peers := s.peers
	s.mu.Unlock()
	for _, p := range peers {
		p.end()
	}
}

// config returns the configuration of a client of s.
func (s *server) config() mqtt.Config {
	return mqtt.Config{ClientID: "c1", Dial: s.dial}
}

// instant is how long what takes no time may take.
const instant = 5 * time.Second
