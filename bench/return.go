package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// absence is how long a server that was killed stays away.
const absence = 500 * time.Millisecond

// comeback is in milliseconds from the moment the server listens again.
type comeback struct {
	Connect   float64 `json:"connect"`
	Subscribe float64 `json:"subscribe"`
}

// witness writes a line when a CONNECT or SUBSCRIBE comes in: which, and how many
// nanoseconds after the server began to listen.
func witness(listening time.Time, w io.Writer) func(first byte) {
	var mu sync.Mutex
	return func(first byte) {
		name := ""
		switch first & 0xf0 {
		case typeConnect:
			name = "CONNECT"
		case typeSubscribe & 0xf0:
			name = "SUBSCRIBE"
		default:
			return
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(w, name, time.Since(listening).Nanoseconds())
	}
}

// testimony reads lines of a witness until SUBSCRIBE. The first CONNECT counts,
// which may be one that failed.
func testimony(lines interface{ ReadString(byte) (string, error) }) (c comeback, err error) {
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return c, err
		}
		var name string
		var nanoseconds int64
		if _, err := fmt.Sscan(line, &name, &nanoseconds); err != nil {
			return c, fmt.Errorf("server said %q", strings.TrimSpace(line))
		}
		at := float64(nanoseconds) / 1e6
		switch {
		case name == "SUBSCRIBE":
			c.Subscribe = at
			return c, nil
		case c.Connect == 0:
			c.Connect = at
		}
	}
}

// runReturning kills the server of a subscribed client, starts it again on the
// same port, and waits for the client to subscribe again.
func (r *runner) runReturning(ctx context.Context, e *entry, s *scenario) (result sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	settings := s.serverSettings()
	first, addr, err := r.startServer(ctx, settings)
	if err != nil {
		return result, err
	}
	command, err := r.command(e, s, addr)
	if err != nil {
		return result, errors.Join(err, first.kill())
	}
	client := exec.CommandContext(ctx, command[0], command[1:]...)
	if err := client.Start(); err != nil {
		return result, errors.Join(err, first.kill())
	}
	defer func() {
		client.Process.Kill()
		client.Wait()
	}()
	_, err = testimony(first.lines)
	if err = errors.Join(err, first.kill()); err != nil {
		return result, fmt.Errorf("at first: %w", err)
	}
	time.Sleep(absence)
	settings.addr = addr
	second, _, err := r.startServer(ctx, settings)
	if err != nil {
		return result, err
	}
	c, err := testimony(second.lines)
	if err = errors.Join(err, second.kill()); err != nil {
		return result, fmt.Errorf("after the return of the server: %w", err)
	}
	result.Comeback = &c
	return result, nil
}

// kill ends the server without a word.
func (p *serverProcess) kill() error {
	err := p.cmd.Process.Kill()
	p.cmd.Wait()
	return err
}

// waitForReturn is the client's side: it subscribes and then leaves everything
// to the library.
func waitForReturn(e *entry, j *job) error {
	if _, err := e.open(j); err != nil {
		return err
	}
	time.Sleep(2 * patience) // killed before
	return nil
}
