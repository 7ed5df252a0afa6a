package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// errEnded says that the program under test has ended.
var errEnded = errors.New("the program has ended")

// program is a Client in a process of its own.
type program struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	hello   Hello
	events  *mailbox[Event]
	answers *mailbox[Answer]
	reading sync.WaitGroup
	turn    sync.Mutex // held by the operation that waits for its answer
}

// Command starts a program that speaks the line protocol. Its standard error goes to
// that of this process. Close kills it.
func Command(ctx context.Context, path string, args ...string) (Client, error) {
	cmd := exec.Command(path, args...)
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
	p := &program{cmd: cmd, stdin: stdin, events: newMailbox[Event](), answers: newMailbox[Answer]()}
	greeted := make(chan error, 1)
	p.reading.Go(func() { p.read(stdout, greeted) })
	select {
	case err = <-greeted:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// read takes the lines of the program. The first is its greeting.
func (p *program) read(r io.Reader, greeted chan<- error) {
	defer p.events.close()
	defer p.answers.close()
	lines := bufio.NewReader(r)
	var first struct {
		Event string `json:"event"`
		Hello
	}
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &first)
	}
	if err == nil && first.Event != "hello" {
		err = fmt.Errorf("the program begins with %.100q", line)
	}
	p.hello = first.Hello
	if greeted <- err; err != nil {
		return
	}
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		p.take(line)
	}
}

func (p *program) take(line []byte) {
	var e Event
	if err := json.Unmarshal(line, &e); err == nil && e.Event != "" {
		p.events.put(e)
		return
	}
	var a Answer
	if err := json.Unmarshal(line, &a); err != nil {
		a = Answer{Error: fmt.Sprintf("%v: %.100q", err, line)}
	}
	p.answers.put(a)
}

// Hello implements Client.
func (p *program) Hello() Hello { return p.hello }

// Events implements Client.
func (p *program) Events() <-chan Event { return p.events.out }

// Do implements Client. After an operation without an answer the program is of no
// more use.
func (p *program) Do(ctx context.Context, op Operation) (Answer, error) {
	line, err := json.Marshal(op)
	if err != nil {
		return Answer{}, err
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return Answer{}, errEnded
	}
	select {
	case a, ok := <-p.answers.out:
		if !ok {
			return Answer{}, errEnded
		}
		if op.Op == "reset" {
			p.events.drop() // they came before the answer
		}
		return a, nil
	case <-ctx.Done():
		return Answer{}, context.Cause(ctx)
	}
}

// Close implements Client.
func (p *program) Close() error {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.stdin.Close()
	p.reading.Wait()
	_ = p.cmd.Wait() // it was killed
	return nil
}
