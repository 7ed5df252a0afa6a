package servers

import (
	"os"
	"os/exec"
	"strings"

	"github.com/seed65a45251/mqtt/internal/daemon"
)

// program is a broker that is one process, whose output is its log.
type program struct {
	server  *Server
	command func() *exec.Cmd
	process *daemon.Process // nil: none runs
}

func (p *program) launch() error {
	log, err := os.OpenFile(p.server.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = log, log
	if p.process, err = daemon.Start(cmd); err != nil {
		return err
	}
	if err := p.await(); err != nil {
		_ = p.end(daemon.Kill)
		return err
	}
	return nil
}

// await returns when all its listeners answer.
func (p *program) await() error {
	s := p.server
	if s.URL() != "" {
		if err := p.process.AwaitAnswer(s.addr(s.ports.TCP)); err != nil {
			return err
		}
	}
	for _, port := range []int{s.ports.TLS, s.ports.WebSocket} {
		if port != 0 {
			if err := p.process.AwaitOpen(s.addr(port)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *program) end(sig signal) error {
	if p.process == nil {
		return nil
	}
	running := p.process
	p.process = nil
	return running.End(sig)
}

func (p *program) log() string { return readLog(p.server.path("log")) }

func readLog(path string) string {
	log, _ := os.ReadFile(path) // not there before the first start
	return strings.ToValidUTF8(string(log), "?")
}
