package mqtttest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// ServerConfig holds the settings of a [Server].
type ServerConfig struct {
	// Version is the version that the server speaks. Zero means 5.0.
	Version wire.Version
	// Patience is how long a step waits for what the test expects. Zero means ten
	// seconds, and ten minutes in a bubble, which is longer than any default
	// keep-alive or back-off.
	Patience time.Duration
	// Buffer is how many bytes a connection in memory holds in each direction. Zero
	// means 64 KiB. With a small buffer the client soon notices a server that does
	// not read.
	Buffer int
}

// Server is an MQTT server that does what the test says, packet by packet. A test
// reads as a conversation:
//
//	srv := mqtttest.NewServer(t, wire.V5)
//	conn := srv.Accept()
//	conn.WantConnect()
//	conn.Send(&wire.Connack{})
//	conn.Want(&wire.Publish{Topic: "t", Payload: []byte("hello")})
//	conn.WantIdle()
//
// It is made for testing/synctest bubbles: there waiting costs nothing, and a test
// can know for sure that nothing more happens. All methods except Dial belong to the
// goroutine of the test. The server reads only when a step asks for a packet, so a
// server that is not asked behaves like one that has stalled. A failed test prints
// the conversation.
type Server struct {
	Version wire.Version // of connections accepted from now on

	t        testing.TB
	cfg      ServerConfig
	recorder recorder
	incoming chan net.Conn
	running  sync.WaitGroup
	accepted int
	moment   time.Duration // how long to wait for what is under way

	mu      sync.Mutex     // guards what follows
	memory  *pipe.Listener // the client dials from goroutines of its own
	tcp     net.Listener   // nil: not asked for yet
	refuses bool
	over    func()          // ends the wait of connections that are not accepted
	waiting <-chan struct{} // closed by over
}

// NewServer returns a server that ends with the test.
func NewServer(t testing.TB, v wire.Version) *Server {
	t.Helper()
	return NewServerWith(t, ServerConfig{Version: v})
}

// NewServerWith is [NewServer] with every setting.
func NewServerWith(t testing.TB, cfg ServerConfig) *Server {
	t.Helper()
	if cfg.Version == 0 {
		cfg.Version = wire.V5
	}
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience()
	}
	s := &Server{Version: cfg.Version, t: t, cfg: cfg, incoming: make(chan net.Conn)}
	if s.moment = time.Nanosecond; !inBubble() {
		s.moment = 20 * time.Millisecond
	}
	s.recorder.init()
	s.recorder.plain = true
	s.Listen()
	t.Cleanup(s.close)
	return s
}

// Dial makes a connection in memory and ignores network and address. It fits the Dial
// of a client's configuration, for example of mqtt.Config.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	l := s.memory
	s.mu.Unlock()
	return l.Dial(ctx)
}

// URL returns the address of the server on a loopback port, which the first call
// opens. In a bubble it opens none; see [Broker.URL].
func (s *Server) URL() string {
	s.t.Helper()
	if inBubble() {
		return memoryURL
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tcp == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatalf("mqtttest: %v", err)
		}
		s.tcp = l
		s.running.Go(func() { s.feed(l) })
	}
	return "mqtt://" + s.tcp.Addr().String()
}

// Refuse refuses connections from now on, and ends those that are not accepted yet.
func (s *Server) Refuse() {
	s.mu.Lock()
	l, over := s.memory, s.over
	s.refuses = true
	s.mu.Unlock()
	over()
	l.Close()
}

// Listen accepts connections again after Refuse.
func (s *Server) Listen() {
	l := pipe.Listen(s.cfg.Buffer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory != nil && !s.refuses {
		return
	}
	s.memory, s.refuses = l, false
	waiting := make(chan struct{})
	s.waiting, s.over = waiting, sync.OnceFunc(func() { close(waiting) })
	s.running.Go(func() { s.feed(l) })
}

// Accept waits for the next connection.
func (s *Server) Accept() *Conn {
	s.t.Helper()
	c := s.accept(s.cfg.Patience)
	if c == nil {
		s.t.Fatalf("no connection within %v", s.cfg.Patience)
	}
	return c
}

// WantNone fails if a connection comes within d.
func (s *Server) WantNone(d time.Duration) {
	s.t.Helper()
	if s.accept(d) != nil {
		s.t.Fatalf("a connection came")
	}
}

// Connected accepts a connection, takes its CONNECT and answers with ack.
func (s *Server) Connected(ack *wire.Connack) *Conn {
	s.t.Helper()
	c := s.Accept()
	c.WantConnect()
	c.Send(ack)
	return c
}

func (s *Server) accept(d time.Duration) *Conn {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case nc := <-s.incoming:
		s.accepted++
		return newConn(s, nc, s.accepted)
	case <-timer.C:
		return nil
	}
}

// feed passes on the connections of l.
func (s *Server) feed(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		refuses, waiting := s.refuses, s.waiting
		s.mu.Unlock()
		if refuses {
			reset(nc)
			continue
		}
		select {
		case s.incoming <- nc:
		case <-waiting:
			nc.Close()
		}
	}
}

func (s *Server) close() {
	s.Refuse()
	s.mu.Lock()
	if s.tcp != nil {
		s.tcp.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	if s.t.Failed() {
		s.t.Log(s.recorder.dump())
	}
}
