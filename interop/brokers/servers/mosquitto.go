package servers

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/seed65a45251/mqtt/internal/daemon"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// mosquittoRunner is Debian's Mosquitto. It saves when it ends in order, and otherwise
// every half hour, as it does by default.
type mosquittoRunner struct {
	*mosquitto.Server
	launched bool
}

// mosquittoPrograms are the places where Debian has it.
var mosquittoPrograms = []string{"mosquitto", "/usr/sbin/mosquitto"}

func startMosquitto(s *Server) (runner, error) {
	if s.opts.TLS {
		s.ports.TLS = 0 // it chooses its own
	}
	opts := mosquitto.Options{
		Persistence: true,
		MaxInflight: cmp.Or(s.opts.ReceiveMaximum, 20), // its default, which package mosquitto changes
		MaxQueued:   1000,                              // likewise
		Users:       s.opts.Users,
		TLS:         s.opts.TLS,
	}
	config, err := mosquittoConfig(s)
	if err != nil {
		return nil, err
	}
	opts.Config = config
	m := &mosquittoRunner{Server: mosquitto.Start(s.t, opts), launched: true}
	if s.ports.TCP, err = portOf(m.Addr()); err != nil {
		return nil, err
	}
	if s.opts.TLS {
		s.client = m.ClientTLS()
		s.ports.TLS, err = portOf(m.TLSAddr())
	}
	return m, err
}

// mosquittoConfig returns the lines for what package mosquitto has no option for. Those
// of the listener for TCP come first.
func mosquittoConfig(s *Server) (lines []string, err error) {
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if n := s.opts.Connections; n != 0 {
		line("max_connections %d", n)
	}
	if n := s.opts.MaximumPacketSize; n != 0 {
		line("max_packet_size %d", n)
	}
	if n := s.opts.KeepAlive; n != 0 {
		line("max_keepalive %d", n)
	}
	if s.opts.NoPublish != "" || s.opts.NoSubscribe != "" {
		line("acl_file %s", s.path("acl"))
		if err := os.WriteFile(s.path("acl"), []byte(mosquittoACL(s.opts)), 0o600); err != nil {
			return nil, err
		}
	}
	if s.opts.WebSocket {
		line("listener %d 127.0.0.1", s.ports.WebSocket)
		line("protocol websockets")
	}
	return lines, nil
}

// mosquittoACL allows all clients everything but what is named.
func mosquittoACL(o Options) string {
	var file strings.Builder
	for _, topic := range []string{o.NoPublish, o.NoSubscribe} {
		if topic != "" {
			fmt.Fprintf(&file, "pattern deny %s\n", topic)
		}
	}
	file.WriteString("pattern readwrite #\n")
	return file.String()
}

func portOf(addr string) (int, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

func (m *mosquittoRunner) launch() error {
	if !m.launched {
		m.Restart() // fails the test itself
	}
	m.launched = true
	return nil
}

func (m *mosquittoRunner) end(sig signal) error {
	m.launched = false
	if sig == daemon.Kill {
		m.Kill()
	} else {
		m.Stop()
	}
	return nil
}

func (m *mosquittoRunner) log() string { return m.Log() }

// mosquittoVersion asks the program, whose help begins with "mosquitto version 2.0.11".
func mosquittoVersion() (string, error) {
	for _, name := range mosquittoPrograms {
		help, _ := exec.Command(name, "-h").Output() // ends with a status of its own
		if words := strings.Fields(string(help)); len(words) > 2 {
			return words[2], nil
		}
	}
	return "", fmt.Errorf("%w: apt-get install mosquitto", errMissing)
}
