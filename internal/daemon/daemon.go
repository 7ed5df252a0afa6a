// Package daemon runs servers of others as processes for tests: they end with the test
// binary, and are ready when they answer a CONNECT.
package daemon

import (
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// patience bounds every wait for a server.
const patience = 60 * time.Second

// Process is one run of a program. Its methods are safe for concurrent use.
type Process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended and was waited for
}

// Start runs the program.
func Start(cmd *exec.Cmd) (*Process, error) {
	endWithParent(cmd)
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go p.run(started) // awaited by End
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run starts the process and waits for its end. It keeps its thread, because the
// process is killed when the thread that started it ends.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait()
	}
	close(p.exited)
}

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Exited returns a channel that is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// End sends a signal and returns when the process has ended, which may have been
// paused. A process that does not end is killed, and the error says so.
func (p *Process) End(sig os.Signal) error {
	_ = p.Signal(sig) // fails when it has ended by itself
	_ = p.Signal(Resume)
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

// AwaitAnswer returns when a server at the TCP address, such as "127.0.0.1:1883",
// answers a CONNECT. It fails when the process has ended.
func (p *Process) AwaitAnswer(addr string) error {
	return p.Await(func() error { return greet(addr) })
}

// AwaitOpen returns when a server listens on the TCP address. It fails when the process
// has ended.
func (p *Process) AwaitOpen(addr string) error {
	return p.Await(func() error {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Await calls ready until it returns nil. It fails when the process has ended.
func (p *Process) Await(ready func() error) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
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
// the server's and its event loop runs.
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

// Kill is SIGKILL.
const Kill = syscall.SIGKILL

// Stop is SIGTERM.
const Stop = syscall.SIGTERM

// FreePort finds a port that nothing listens on. It lies below the ports that the
// operating system gives to outgoing connections. One of those could otherwise take
// it while the server is down between its end and its next start.
func FreePort() (int, error) {
	for range 100 {
		port := 10240 + mathrand.IntN(32768-10240)
		l, err := net.Listen("tcp", Loopback(port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// Loopback returns the address of a port, such as "127.0.0.1:1883".
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) }
