package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/seed65a45251/mqtt/internal/daemon"
)

// rabbitHome is where Debian has it: in the directory rabbitmq_server-VERSION of lib.
const rabbitHome = "/usr/lib/rabbitmq"

// rabbit is RabbitMQ with its plugin for MQTT. Erlang finds it by way of a port mapper
// of its own.
type rabbit struct {
	program
	mapper     *daemon.Process // nil: none runs
	mapperPort int
	nodePort   int
}

func startRabbitMQ(s *Server) (runner, error) {
	if _, err := rabbitVersion(); err != nil {
		return nil, err
	}
	r := &rabbit{program: program{server: s}}
	r.command = r.node
	var err error
	if r.mapperPort, err = daemon.FreePort(); err != nil {
		return nil, err
	}
	if r.nodePort, err = daemon.FreePort(); err != nil {
		return nil, err
	}
	return r, writeRabbitFiles(s)
}

// rabbitVersion is in the name of its directory.
func rabbitVersion() (string, error) {
	home, _ := filepath.Glob(rabbitHome + "/lib/rabbitmq_server-*")
	if len(home) == 0 {
		return "", fmt.Errorf("%w: apt-get install rabbitmq-server", errMissing)
	}
	return filepath.Base(home[0])[len("rabbitmq_server-"):], nil
}

// node is the server itself. Without NOTIFY_SOCKET a shell would stand between it and
// the signals.
func (r *rabbit) node() *exec.Cmd {
	s := r.server
	cmd := exec.Command(rabbitHome + "/bin/rabbitmq-server")
	cmd.Env = append(r.environment(),
		"HOME="+s.dir,
		"NOTIFY_SOCKET=none",
		fmt.Sprintf("RABBITMQ_NODENAME=test%d@localhost", r.nodePort),
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", r.nodePort),
		"RABBITMQ_MNESIA_BASE="+s.path("mnesia"),
		"RABBITMQ_LOG_BASE="+s.path("logs"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+s.path("plugins"),
		"RABBITMQ_CONFIG_FILE="+s.path("rabbitmq.conf"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
	)
	return cmd
}

func (r *rabbit) environment() []string {
	return append(os.Environ(), "ERL_EPMD_ADDRESS=127.0.0.1", fmt.Sprintf("ERL_EPMD_PORT=%d", r.mapperPort))
}

func (r *rabbit) launch() error {
	cmd := exec.Command("epmd")
	cmd.Env = r.environment()
	var err error
	if r.mapper, err = daemon.Start(cmd); err != nil {
		return err
	}
	if err := r.mapper.AwaitOpen(daemon.Loopback(r.mapperPort)); err != nil {
		return errors.Join(err, r.endMapper())
	}
	before := len(r.program.log())
	err = r.program.launch()
	if err == nil {
		// It listens before it has read who may connect.
		err = r.process.Await(func() error {
			if !strings.Contains(r.program.log()[before:], "completed with") {
				return errors.New("has not started all")
			}
			return nil
		})
	}
	if err != nil {
		return errors.Join(err, r.end(daemon.Kill))
	}
	return nil
}

// log returns what the node has written to its files.
func (r *rabbit) log() string {
	files, _ := filepath.Glob(r.server.path("logs/*.log"))
	var all strings.Builder
	all.WriteString(r.program.log())
	for _, file := range files {
		all.WriteString(readLog(file))
	}
	return all.String()
}

func (r *rabbit) end(sig signal) error {
	return errors.Join(r.program.end(sig), r.endMapper())
}

func (r *rabbit) endMapper() error {
	if r.mapper == nil {
		return nil
	}
	running := r.mapper
	r.mapper = nil
	return running.End(daemon.Kill)
}
