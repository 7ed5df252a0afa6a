package mosquitto

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/seed65a45251/mqtt/internal/daemon"
)

// programs are the places to look for the server. Debian installs it outside the
// search path of ordinary users.
var programs = []string{"mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"}

func find() (string, error) {
	if !daemon.Supported {
		return "", errors.New("tests with Mosquitto need Linux")
	}
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("needs Mosquitto: apt-get install mosquitto")
}

func (s *Server) writeConfig() error {
	var conf strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&conf, format+"\n", args...) }

	line("allow_anonymous %t", s.opts.Users == nil)
	if s.opts.Users != nil {
		line("password_file %s", s.path("passwords"))
	}
	if os.Getuid() == 0 {
		// Otherwise it would run as the user mosquitto, which can neither read the
		// certificates nor write the database in our directory.
		line("user root")
	}
	line("log_dest stderr")
	line("log_timestamp_format %%H:%%M:%%S")
	for _, kind := range []string{"error", "warning", "notice"} {
		line("log_type %s", kind)
	}
	// If a save is not hastened by anything else, it is hastened by a connection, and
	// these would fill the log.
	line("connection_messages %t", !s.opts.Durable)
	line("set_tcp_nodelay true")
	line("max_inflight_messages %d", s.opts.MaxInflight)
	line("max_queued_messages %d", s.opts.MaxQueued)
	if s.opts.Persistence {
		line("persistence true")
		line("persistence_location %s/", s.dir)
		line("persistence_file %s", database)
		line("autosave_on_changes %t", s.opts.Autosave)
		if s.opts.Autosave {
			line("autosave_interval 1")
		} else {
			line("autosave_interval 0") // never by itself
		}
	}

	if s.opts.Unix {
		line("listener 0 %s", s.unix)
	}
	if s.opts.TLS {
		line("listener %d 127.0.0.1", s.tlsPort)
		line("cafile %s", s.path("ca.crt"))
		line("certfile %s", s.path("server.crt"))
		line("keyfile %s", s.path("server.key"))
		line("require_certificate true")
	}
	line("listener %d 127.0.0.1", s.port)
	for _, extra := range s.opts.Config {
		line("%s", extra)
	}
	return os.WriteFile(s.path("mosquitto.conf"), []byte(conf.String()), 0o600)
}

// writePasswords writes a password file of Mosquitto: PBKDF2 with SHA-512, named $7$.
func writePasswords(path string, users map[string]string) error {
	const rounds = 101
	var file strings.Builder
	encode := base64.StdEncoding.EncodeToString
	for name, password := range users {
		salt := make([]byte, 12)
		_, _ = rand.Read(salt)
		hash, err := pbkdf2.Key(sha512.New, password, salt, rounds, sha512.Size)
		if err != nil {
			return err
		}
		fmt.Fprintf(&file, "%s:$7$%d$%s$%s\n", name, rounds, encode(salt), encode(hash))
	}
	return os.WriteFile(path, []byte(file.String()), 0o600)
}
