package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// process is a client in another language: a program that takes commands as lines
// of JSON.
type process struct {
	t        *testing.T
	command  []string
	received func(message)

	cmd     *exec.Cmd // nil: not running
	stdin   io.WriteCloser
	answers chan answer
	reading sync.WaitGroup
}

// answer is what the program says.
type answer struct {
	Event string `json:"event"`
	message
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	Present bool   `json:"present"`
	Granted byte   `json:"granted"`
}

func openPython(t *testing.T, received func(message)) peer {
	// Debian's own Python has Debian's Paho.
	return openProcess(t, received, "/usr/bin/python3", filepath.Join("python", "driver.py"))
}

func openJS(t *testing.T, received func(message)) peer {
	_, err := os.Stat(filepath.Join("js", "node_modules", "mqtt"))
	require.NoError(t, err, "run npm ci in js")
	return openProcess(t, received, "node", filepath.Join("js", "driver.cjs"))
}

func openProcess(t *testing.T, received func(message), command ...string) peer {
	p := &process{t: t, command: command, received: received}
	t.Cleanup(func() { _ = p.kill() })
	return p
}

func (p *process) start() error {
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Stderr = p.t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.stdin = cmd, stdin
	answers := make(chan answer, 1)
	p.answers = answers
	p.reading.Go(func() { p.read(stdout, answers) })
	return nil
}

func (p *process) read(r io.Reader, answers chan<- answer) {
	defer close(answers)
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			a = answer{Error: fmt.Sprintf("%v: %.100q", err, line)}
		}
		if a.Event == "message" {
			p.received(a.message)
			continue
		}
		answers <- a
	}
}

// call sends a command and waits for its answer.
func (p *process) call(ctx context.Context, op string, arguments any) (answer, error) {
	if p.cmd == nil {
		return answer{}, errors.New("not connected")
	}
	fields := map[string]any{}
	if arguments != nil {
		raw, err := json.Marshal(arguments)
		if err != nil {
			return answer{}, err
		}
		if err := json.Unmarshal(raw, &fields); err != nil {
			return answer{}, err
		}
	}
	fields["op"] = op
	line, err := json.Marshal(fields)
	if err != nil {
		return answer{}, err
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return answer{}, err
	}
	select {
	case a, ok := <-p.answers:
		switch {
		case !ok:
			return answer{}, errors.New("the program ended")
		case !a.OK:
			return answer{}, errors.New(a.Error)
		}
		return a, nil
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
}

func (p *process) connect(ctx context.Context, o options) (bool, error) {
	if p.cmd == nil {
		if err := p.start(); err != nil {
			return false, err
		}
	}
	a, err := p.call(ctx, "connect", o)
	return a.Present, err
}

func (p *process) subscribe(ctx context.Context, filter string, qos byte) (byte, error) {
	a, err := p.call(ctx, "subscribe", map[string]any{"filter": filter, "qos": qos})
	return a.Granted, err
}

func (p *process) publish(ctx context.Context, m message) error {
	_, err := p.call(ctx, "publish", m)
	return err
}

func (p *process) disconnect(ctx context.Context) error {
	_, err := p.call(ctx, "disconnect", nil)
	return err
}

// kill ends the program; the system ends its connection.
func (p *process) kill() error {
	if p.cmd == nil {
		return nil
	}
	err := p.cmd.Process.Kill()
	_ = p.stdin.Close()
	go func() {
		for range p.answers { // nobody waits for them
		}
	}()
	p.reading.Wait()
	_ = p.cmd.Wait() // killed
	p.cmd = nil
	return err
}
