package mosquitto

import (
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/seed65a45251/mqtt/internal/daemon"
)

// patience bounds every wait for the server.
const patience = 20 * time.Second

// Kill ends the server with SIGKILL and returns when it has ended. If the server is
// not running, it does nothing.
func (s *Server) Kill() { s.end(daemon.Kill) }

// Stop ends the server with SIGTERM, so that it saves, and returns when it has ended.
// If the server is not running, it does nothing.
func (s *Server) Stop() { s.end(daemon.Stop) }

// Restart starts the server again, with the same addresses and files, and returns
// when it answers. It first stops a server that is running.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	deadline := time.Now().Add(patience)
	for {
		err := s.launch()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("mosquitto: restart: %v", err)
			return
		}
		// Something else may hold the port for a moment.
		<-time.After(100 * time.Millisecond)
	}
}

// Pause stops the process (SIGSTOP): connections stay open and nothing answers.
func (s *Server) Pause() { s.signal(daemon.Pause) }

// Resume lets a paused process run again (SIGCONT).
func (s *Server) Resume() { s.signal(daemon.Resume) }

func (s *Server) signal(sig os.Signal) {
	s.t.Helper()
	p := s.current()
	if p == nil {
		s.t.Errorf("mosquitto: %v: not running", sig)
		return
	}
	if err := p.Signal(sig); err != nil {
		s.t.Errorf("mosquitto: %v: %v", sig, err)
	}
}

func (s *Server) end(sig os.Signal) {
	s.t.Helper()
	s.mu.Lock()
	p := s.process
	s.process = nil
	s.mu.Unlock()
	if p == nil {
		return
	}
	if err := p.End(sig); err != nil {
		s.t.Errorf("mosquitto: %v", err)
	}
	if s.barrier != nil {
		// The last answers of the dead server were never saved. They must be dropped
		// before a new server runs, whose saves would release them.
		s.barrier.Drop()
	}
}

func (s *Server) current() *daemon.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// launchOnFreePort tries ports until one is still free when the server binds it.
func (s *Server) launchOnFreePort() (err error) {
	for range 5 {
		if s.port, err = daemon.FreePort(); err != nil {
			return err
		}
		if s.tlsPort, err = daemon.FreePort(); err != nil {
			return err
		}
		if err = s.launch(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w\n%s", err, s.Log())
}

// launch starts the process and waits until it answers. After an error no process
// runs.
func (s *Server) launch() error {
	if err := s.writeConfig(); err != nil {
		return err
	}
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.binary, "-c", s.path("mosquitto.conf"))
	cmd.Stdout, cmd.Stderr = log, log
	p, err := daemon.Start(cmd)
	if err != nil {
		return err
	}
	if err := p.AwaitAnswer(s.direct()); err != nil {
		_ = p.End(daemon.Kill)
		return err
	}
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	return nil
}

// cleanup ends the process of this server at the end of the test.
func (s *Server) cleanup() {
	s.Kill()
	s.saving.rounds.Wait()
	if s.t.Failed() {
		const tail = 32 << 10
		log := s.Log()
		fmt.Fprintf(s.t.Output(), "mosquitto log:\n%s\n", log[max(0, len(log)-tail):])
	}
}
