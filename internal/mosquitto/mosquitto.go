// Package mosquitto runs a real Mosquitto for tests, on loopback, with a
// configuration and files of its own, and ends it with the test.
//
// # What survives a SIGKILL
//
// Mosquitto (2.0.11 was measured) keeps everything in memory. It writes all of it to
// a new file, which it then renames over the old one: when it is told to end
// (SIGTERM), on SIGUSR1, and after a number of seconds or changes. A file is
// therefore never half written. But Mosquitto acknowledges a message before the
// message is in a file:
//
//   - without [Options.Autosave], a SIGKILL loses all since the last [Server.Save];
//   - with it, one save follows each round of the event loop that changed
//     anything. Acknowledgements leave during the round and the save comes at its
//     end, so a SIGKILL still loses messages that were acknowledged, up to
//     one per publishing connection, and under load nearly every time.
//
// A test that asserts "no acknowledged message is lost" needs more than that:
//
//   - [Options.Durable] puts a proxy in front that passes on nothing the server
//     sends before a save that began later has completed. What clients have seen
//     then survives a [Server.Kill] at any moment, with publishers of QoS 1 and 2
//     in full flight: nothing acknowledged is lost, and of QoS 2 nothing doubled.
//     It costs a save per round trip, shared by all connections: 5 ms, and 40 ms
//     with 80,000 messages queued.
//   - Or stop the flow, save, and kill: Blackhole(Both) on a faultproxy in front,
//     [Server.Save], [Server.Kill], Drop on the proxy, Blackhole(None),
//     [Server.Restart].
//
// Two things are lost in any case: messages of QoS 0, and sessions that were opened with
// clean start (MQTT 5) or a clean session, even with a session expiry interval.
// Mosquitto 2.0.11 does not write those to the file. A client that is to find its
// session after a restart must connect with clean start 0.
package mosquitto

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed65a45251/mqtt/internal/daemon"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
)

// Options says what to run. The zero value is a server without persistence that every
// client may connect to over TCP.
type Options struct {
	// Persistence keeps the state in a file, which is read at the start and
	// written by Stop and Save.
	Persistence bool

	// Autosave also writes the file after every change; the package comment says what
	// that is worth. It implies Persistence.
	Autosave bool

	// Durable makes Addr and URL lead through a proxy that holds back what the
	// server sends until it is saved; see the package comment. It implies
	// Persistence. The listeners for TLS and Unix sockets are not behind it.
	Durable bool

	// MaxInflight bounds the QoS 1 and 2 messages in flight to one client, and
	// is the receive maximum told to MQTT 5 clients. Zero means no limit.
	MaxInflight int

	// MaxQueued bounds the messages waiting for one client. Zero means no limit.
	MaxQueued int

	// Users are the names and passwords that may connect. If nil, every client may.
	Users map[string]string

	// TLS adds a listener that demands a client certificate; see ClientTLS.
	TLS bool

	// Unix adds a listener on a Unix socket.
	Unix bool

	// Config are further lines of mosquitto.conf. They come last, so options of a
	// listener apply to the plain TCP one.
	Config []string
}

// Server is a Mosquitto that is running, or was just killed. Its methods are safe for
// concurrent use, except that Kill, Stop, Restart, Pause and Resume belong to one
// goroutine at a time. Their failures are reported as errors of the test.
type Server struct {
	t       testing.TB
	opts    Options
	binary  string
	dir     string // configuration, certificates, log, and the database
	port    int
	tlsPort int
	unix    string
	tls     *tls.Config
	barrier *faultproxy.Proxy // nil unless Durable

	mu      sync.Mutex
	process *daemon.Process // nil while it is not running

	saving saving
}

// Start runs a Mosquitto and returns when it answers. If none is installed, the test
// is skipped, or fails if MQTT_REQUIRE_SERVERS is set.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	binary, err := find()
	if err != nil {
		if os.Getenv("MQTT_REQUIRE_SERVERS") != "" {
			t.Fatal("MQTT_REQUIRE_SERVERS is set:", err)
		}
		t.Skip(err)
	}
	opts.Persistence = opts.Persistence || opts.Autosave || opts.Durable
	s := &Server{t: t, opts: opts, binary: binary, dir: t.TempDir()}
	if err := s.prepare(); err != nil {
		t.Fatal("mosquitto:", err)
	}
	t.Cleanup(s.cleanup)
	if err := s.launchOnFreePort(); err != nil {
		t.Fatal("mosquitto:", err)
	}
	if opts.Durable {
		s.barrier = faultproxy.New(t, s.direct())
		s.barrier.HoldDown(s.Save)
	}
	return s
}

// prepare makes everything that stays the same over restarts.
func (s *Server) prepare() (err error) {
	if s.opts.TLS {
		if s.tls, err = daemon.WriteCertificates(s.dir); err != nil {
			return err
		}
	}
	if s.opts.Users != nil {
		if err = writePasswords(s.path("passwords"), s.opts.Users); err != nil {
			return err
		}
	}
	if s.opts.Unix {
		// The temporary directory of a test with a long name exceeds the 108
		// bytes of a Unix socket's address.
		dir, err := os.MkdirTemp("", "mosquitto")
		if err != nil {
			return err
		}
		s.t.Cleanup(func() { os.RemoveAll(dir) })
		s.unix = filepath.Join(dir, "s")
	}
	return nil
}

// Addr returns the TCP address for clients, such as "127.0.0.1:21883". It stays the
// same over restarts.
func (s *Server) Addr() string {
	if s.barrier != nil {
		return s.barrier.Addr()
	}
	return s.direct()
}

// URL returns [Server.Addr] as an mqtt URL.
func (s *Server) URL() string { return "mqtt://" + s.Addr() }

// TLSAddr returns the address of the TLS listener. It is empty without [Options.TLS].
func (s *Server) TLSAddr() string {
	if !s.opts.TLS {
		return ""
	}
	return daemon.Loopback(s.tlsPort)
}

// TLSURL returns [Server.TLSAddr] as an mqtts URL. It is empty without [Options.TLS].
func (s *Server) TLSURL() string {
	if !s.opts.TLS {
		return ""
	}
	return "mqtts://" + s.TLSAddr()
}

// ClientTLS returns a new configuration that trusts the server and has a client
// certificate that the server accepts. It is nil without [Options.TLS]. To be
// refused, clear its Certificates.
func (s *Server) ClientTLS() *tls.Config {
	if s.tls == nil {
		return nil
	}
	return s.tls.Clone()
}

// UnixPath returns the path of the Unix socket. It is empty without [Options.Unix].
func (s *Server) UnixPath() string { return s.unix }

// UnixURL returns [Server.UnixPath] as a unix URL. It is empty without
// [Options.Unix].
func (s *Server) UnixURL() string {
	if s.unix == "" {
		return ""
	}
	return "unix://" + s.unix
}

// Log returns what the server has logged over all restarts. A failed test prints
// the end of it.
func (s *Server) Log() string {
	log, err := os.ReadFile(s.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// direct returns the address of the server itself.
func (s *Server) direct() string { return daemon.Loopback(s.port) }

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }
