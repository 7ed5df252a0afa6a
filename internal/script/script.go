// Package script is an MQTT server that does what a test tells it, packet by
// packet. It plugs into Config.Dial of a client, and a test reads as a
// conversation:
//
//	srv := script.New(t, wire.V5)
//	conn := srv.Accept()
//	conn.WantConnect()
//	conn.Send(&wire.Connack{})
//	conn.Want(&wire.Publish{Topic: "t", Payload: []byte("hello")})
//	conn.WantIdle()
//
// It is made for testing/synctest bubbles: there a wait costs nothing, "nothing
// more happens" can be known for sure, and a goroutine that the client leaves
// behind fails the test by itself. All methods belong to the goroutine of the
// test. The server reads only when a step asks for a packet, so a server that
// has stalled is one that is not asked.
package script

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// Patience is how long a step waits for what the test expects, in the fake
// time of the bubble. It is longer than any keep-alive or back-off by default.
const Patience = 10 * time.Minute

// Server accepts connections in memory.
type Server struct {
	Version wire.Version // of connections accepted from now on

	t        testing.TB
	listener atomic.Pointer[pipe.Listener] // the client dials from goroutines of its own
}

// New returns a server that ends with the test.
func New(t testing.TB, v wire.Version) *Server { return NewBuffered(t, v, 0) }

// NewBuffered returns a server whose connections hold that many bytes per
// direction, so that a stalled one is noticed soon.
func NewBuffered(t testing.TB, v wire.Version, buffer int) *Server {
	s := &Server{Version: v, t: t}
	s.listen(buffer)
	return s
}

// Dial has the shape of Config.Dial.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return s.listener.Load().Dial(ctx)
}

// Refuse refuses connections from now on.
func (s *Server) Refuse() { s.listener.Load().Close() }

// Listen accepts connections again after Refuse.
func (s *Server) Listen() { s.listen(0) }

func (s *Server) listen(buffer int) {
	l := pipe.Listen(buffer)
	s.listener.Store(l)
	s.t.Cleanup(func() { l.Close() })
}

// Accept waits for the next connection.
func (s *Server) Accept() *Conn {
	s.t.Helper()
	c := s.accept(Patience)
	if c == nil {
		s.t.Fatalf("no connection within %v", Patience)
	}
	return c
}

// WantNone fails when a connection comes within d.
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
	accepted := make(chan net.Conn, 1)
	gaveUp := make(chan struct{})
	l := s.listener.Load()
	go func() {
		if nc, err := l.Accept(); err == nil {
			select {
			case accepted <- nc:
			case <-gaveUp:
				nc.Close()
			}
		}
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case nc := <-accepted:
		return newConn(s.t, nc, s.Version)
	case <-timer.C:
		close(gaveUp)
		return nil
	}
}
