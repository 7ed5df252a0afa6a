package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/broker"
)

// server is a running server.
type server struct {
	addr   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser // nil: not ours
	stdout *bufio.Reader
	stop   func()
}

// serverKind is a server that can be run.
type serverKind struct {
	name  string
	start func() (*server, error)
}

func findServers() ([]serverKind, error) {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/mosquitto") // not in every PATH
	}
	if err != nil {
		return nil, errors.New("mosquitto is not installed")
	}
	help, _ := exec.Command(path, "-h").Output() // it ends with a code of its own
	line, _, _ := strings.Cut(string(help), "\n")
	return []serverKind{
		{"broker", func() (*server, error) { return startOurs(anyPort) }},
		{strings.Replace(line, " version", "", 1), func() (*server, error) { return startMosquitto(path) }},
	}, nil
}

// anyPort is the address of a server that may take any port.
const anyPort = "127.0.0.1:0"

// serve is the process of our broker. It prints its address, returns memory to the
// system whenever it reads a line, and ends with its standard input.
func serve(addr string) error {
	const many = 1 << 30
	b := broker.New(broker.Config{
		Connections: many, Sessions: many, QueuedMessages: many, QueuedBytes: many,
	})
	defer b.Close()
	listening, err := b.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(listening)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		debug.FreeOSMemory()
		fmt.Println("done")
	}
	return nil
}

// startOurs starts our broker at a loopback address.
func startOurs(addr string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve", addr)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}
	s.stop = func() {
		// Not by the end of its input: closing 100,000 connections takes its time.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	line, err := s.stdout.ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("the server did not start: %w", err)
	}
	s.addr = strings.TrimSpace(line)
	return s, nil
}

// giveBack lets our server return what it does not need to the system.
func (s *server) giveBack() error {
	if s.stdin == nil {
		return nil
	}
	if _, err := io.WriteString(s.stdin, "\n"); err != nil {
		return err
	}
	_, err := s.stdout.ReadString('\n')
	return err
}

// mosquittoSettings leave no limit that would be measured.
const mosquittoSettings = `listener %s 127.0.0.1
allow_anonymous true
persistence false
log_type none
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
`

func startMosquitto(path string) (*server, error) {
	ln, err := net.Listen("tcp", anyPort)
	if err != nil {
		return nil, err
	}
	addr := ln.Addr().String()
	ln.Close() // the port stays free for long enough
	dir, err := os.MkdirTemp("", "mqtt-load-")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, mosquittoSettings, port), 0o644); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	cmd := exec.Command(path, "-c", file)
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &server{addr: addr, cmd: cmd}
	s.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	for range 500 {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			return s, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.stop()
	return nil, errors.New("mosquitto does not listen")
}
