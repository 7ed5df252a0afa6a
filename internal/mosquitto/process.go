package mosquitto

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// patience bounds every wait for the server.
const patience = 20 * time.Second

// process is one run of the program.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended and was waited for
}

// Kill ends the server with SIGKILL and returns when it has ended. If the server is
// not running, it does nothing.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server with SIGTERM, so that it saves, and returns when it has ended.
// If the server is not running, it does nothing.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

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
func (s *Server) Pause() { s.signal(sigPause) }

// Resume lets a paused process run again (SIGCONT).
func (s *Server) Resume() { s.signal(sigResume) }

func (s *Server) signal(sig os.Signal) {
	s.t.Helper()
	p := s.current()
	if p == nil {
		s.t.Errorf("mosquitto: %v: not running", sig)
		return
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
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
	if err := p.end(sig); err != nil {
		s.t.Errorf("mosquitto: %v", err)
	}
	if s.barrier != nil {
		// The last answers of the dead server were never saved. They must be dropped
		// before a new server runs, whose saves would release them.
		s.barrier.Drop()
	}
}

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

func (p *process) end(sig os.Signal) error {
	_ = p.cmd.Process.Signal(sig) // fails when it has ended by itself
	_ = p.cmd.Process.Signal(sigResume)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.exited
		return fmt.Errorf("did not end %v after %v", patience, sig)
	}
}

// launchOnFreePort tries ports until one is still free when the server binds it.
func (s *Server) launchOnFreePort() (err error) {
	for range 5 {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if s.tlsPort, err = freePort(); err != nil {
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
	endWithParent(cmd)
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go p.run(started) // awaited by end
	if err := <-started; err != nil {
		return err
	}
	if err := s.awaitAnswer(p); err != nil {
		_ = p.end(syscall.SIGKILL)
		return err
	}
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	return nil
}

// run starts the process and waits for its end. It keeps its thread, because the
// process is killed when the thread that started it ends.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait()
	}
	close(p.exited)
}

func (s *Server) awaitAnswer(p *process) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := greet(s.direct())
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("ended while starting: %v", p.cmd.ProcessState)
		case <-timer.C:
			return fmt.Errorf("does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// greet sends a CONNECT and waits for a CONNACK with any code: then the listener is
// ours and the event loop runs.
func greet(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")); err != nil {
		return err
	}
	answer := make([]byte, 1)
	if _, err := conn.Read(answer); err != nil {
		return err
	}
	if answer[0] != 0x20 {
		return errors.New("the answer is not a CONNACK")
	}
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
