package servers

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	ossignal "os/signal"
	"path/filepath"
	"testing"

	"github.com/seed65a45251/mqtt/internal/daemon"
)

// roleVariable makes the test binary a broker: it has the configuration.
const roleVariable = "MQTT_BROKERS_ROLE"

// ready says that Main was called, so that this program can be a broker.
var ready bool

// linkedConfig is what a broker in the test binary gets to know.
type linkedConfig struct {
	Kind  string
	Dir   string // of its data and certificates
	Ports ports
	Opts  Options
}

// linked are the brokers that are Go modules. Each serves until it is told to end by the
// function that it returns.
var linked = map[string]func(linkedConfig) (io.Closer, error){
	"NATS":  serveNATS,
	"mochi": serveMochi,
	"ours":  serveOurs,
}

// linkedVersion is the version of a broker that the test binary has.
func linkedVersion(version string) func() (string, error) {
	return func() (string, error) { return version, nil }
}

// Main runs the tests, or the broker for which a test has started this program, and
// returns the code for os.Exit.
func Main(m *testing.M) int {
	role := os.Getenv(roleVariable)
	if role == "" {
		ready = true
		return m.Run()
	}
	if err := serveLinked(role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serveLinked(role string) error {
	var cfg linkedConfig
	if err := json.Unmarshal([]byte(role), &cfg); err != nil {
		return err
	}
	told := make(chan os.Signal, 1)
	ossignal.Notify(told, daemon.Stop)
	server, err := linked[cfg.Kind](cfg)
	if err != nil {
		return err
	}
	<-told
	return server.Close()
}

// startLinked returns the function that starts one of them.
func startLinked(kind string) func(*Server) (runner, error) {
	return func(s *Server) (runner, error) {
		if !ready {
			return nil, errors.New("the package needs a TestMain that calls servers.Main")
		}
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		role, err := json.Marshal(linkedConfig{kind, s.dir, s.ports, s.opts})
		if err != nil {
			return nil, err
		}
		return &program{server: s, command: func() *exec.Cmd {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), roleVariable+"="+string(role))
			return cmd
		}}, nil
	}
}

// tls returns the server's side of TLS, or nil if it has none.
func (cfg linkedConfig) tls() (*tls.Config, error) {
	if !cfg.Opts.TLS {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(cfg.Dir, "server.crt"), filepath.Join(cfg.Dir, "server.key"))
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
}

// tcp returns the address for TCP, such as "127.0.0.1:1883".
func (cfg linkedConfig) tcp() string { return daemon.Loopback(cfg.Ports.TCP) }

// closer makes a function an io.Closer.
type closer func() error

func (c closer) Close() error { return c() }
