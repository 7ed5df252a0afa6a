package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Serve speaks the program's side of the line protocol for a client that is a Go
// value: it is the whole main function of a program under test. It returns when in
// ends or has said quit, and closes the client.
func Serve(ctx context.Context, in io.Reader, out io.Writer, c Client) error {
	defer c.Close()
	s := &serving{out: json.NewEncoder(out), forget: make(chan chan struct{})}
	if err := s.say(struct {
		Event string `json:"event"`
		Hello
	}{"hello", c.Hello()}); err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running.Go(func() { s.report(ctx, c.Events()) })
	forget := func() {
		forgotten := make(chan struct{})
		select {
		case s.forget <- forgotten:
			<-forgotten
		case <-ctx.Done():
		}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 512<<20)
	for lines.Scan() {
		var op Operation
		if err := json.Unmarshal(lines.Bytes(), &op); err != nil {
			return fmt.Errorf("conformance: %w: %.100q", err, lines.Text())
		}
		if op.Op == "quit" {
			return s.say(Answer{OK: true})
		}
		a, err := c.Do(ctx, op)
		if err != nil {
			a = Answer{Error: err.Error()}
		}
		if op.Op == "reset" {
			forget()
		}
		if err := s.say(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// serving writes lines, each as a whole.
type serving struct {
	mu  sync.Mutex // guards out
	out *json.Encoder
	// forget takes a channel to close when nothing more is reported of what was there
	// before.
	forget chan chan struct{}
}

func (s *serving) say(line any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Encode(line)
}

// report writes what the client reports, until ctx ends.
func (s *serving) report(ctx context.Context, events <-chan Event) {
	for {
		select {
		case e, open := <-events:
			if !open {
				events = nil
				continue
			}
			_ = s.say(e) // the answers fail too
		case forgotten := <-s.forget:
			drain(events)
			close(forgotten)
		case <-ctx.Done():
			return
		}
	}
}
