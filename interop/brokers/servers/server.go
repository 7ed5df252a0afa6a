package servers

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/internal/daemon"
)

// Server is a broker that is running, or was ended. Its methods belong to one goroutine
// at a time. Their failures end the test.
type Server struct {
	t    testing.TB
	kind Kind
	opts Options

	dir    string // of its files
	ports  ports
	client *tls.Config // nil without TLS
	runner runner
}

// ports are those it listens on. TLS and WebSocket are zero when there is no such
// listener.
type ports struct{ TCP, TLS, WebSocket int }

// signal ends a process.
type signal = os.Signal

// errMissing says that a broker is not installed.
var errMissing = errors.New("is not installed")

// open starts it for the first time.
func (s *Server) open() {
	s.t.Helper()
	s.dir = s.t.TempDir()
	var err error
	if s.opts.TLS {
		if s.client, err = daemon.WriteCertificates(s.dir); err != nil {
			s.t.Fatal(s.kind.Name, err)
		}
	}
	if err := s.choosePorts(); err != nil {
		s.t.Fatal(s.kind.Name, err)
	}
	s.runner, err = s.kind.start(s)
	s.kind.check(s.t, err)
	s.t.Cleanup(s.cleanup)
	s.launch()
}

// choosePorts takes free ones. A server whose port is taken before it listens is told by
// its failure to answer, and launch tries again.
func (s *Server) choosePorts() (err error) {
	if s.ports.TCP, err = daemon.FreePort(); err != nil {
		return err
	}
	if s.opts.TLS {
		if s.ports.TLS, err = daemon.FreePort(); err != nil {
			return err
		}
	}
	if s.opts.WebSocket {
		s.ports.WebSocket, err = daemon.FreePort()
	}
	return err
}

// launch starts the process. Something else may hold its port for a moment.
func (s *Server) launch() {
	s.t.Helper()
	var err error
	for range 3 {
		if err = s.runner.launch(); err == nil {
			return
		}
		<-time.After(200 * time.Millisecond)
	}
	s.t.Fatalf("%s: %v\n%s", s.kind.Name, err, s.runner.log())
}

// Kind returns what it is.
func (s *Server) Kind() Kind { return s.kind }

// URL returns the URL for TCP without TLS, or "" if there is no such listener. It stays
// the same over restarts, as all addresses do.
func (s *Server) URL() string {
	if s.kind.Name == "NATS" && s.opts.TLS {
		return ""
	}
	return "mqtt://" + s.addr(s.ports.TCP)
}

// TLSURL returns the URL for TCP with TLS, or "" without [Options.TLS].
func (s *Server) TLSURL() string {
	if !s.opts.TLS {
		return ""
	}
	return "mqtts://" + s.addr(s.ports.TLS)
}

// WebSocketURL returns the URL for WebSocket, or "" without [Options.WebSocket].
func (s *Server) WebSocketURL() string {
	if !s.opts.WebSocket {
		return ""
	}
	path := ""
	switch s.kind.Name {
	case "NATS":
		path = "/mqtt"
	case "RabbitMQ":
		path = "/ws"
	}
	return "ws://" + s.addr(s.ports.WebSocket) + path
}

// ClientTLS returns a new configuration that trusts the server. Mosquitto demands the
// certificate that it has. It is nil without [Options.TLS].
func (s *Server) ClientTLS() *tls.Config { return s.client.Clone() }

// Version returns the version of the broker, such as "2.0.11".
func (s *Server) Version() string { return s.kind.Version(s.t) }

// Log returns what the server has said.
func (s *Server) Log() string { return s.runner.log() }

// Stop ends the server in order.
func (s *Server) Stop() {
	s.t.Helper()
	s.end(daemon.Stop)
}

// Crash ends the server with SIGKILL.
func (s *Server) Crash() {
	s.t.Helper()
	s.end(daemon.Kill)
}

// Restart starts the server again, with what it has kept. It first stops one that is
// running.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.launch()
}

func (s *Server) end(sig signal) {
	s.t.Helper()
	if err := s.runner.end(sig); err != nil {
		s.t.Fatal(s.kind.Name, err)
	}
}

func (s *Server) cleanup() {
	if err := s.runner.end(daemon.Kill); err != nil {
		s.t.Error(s.kind.Name, err)
	}
	if s.t.Failed() {
		const tail = 4 << 10
		log := s.runner.log()
		fmt.Fprintf(s.t.Output(), "log of %s:\n%s\n", s.kind.Name, log[max(0, len(log)-tail):])
	}
}

func (s *Server) addr(port int) string { return daemon.Loopback(port) }

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }
