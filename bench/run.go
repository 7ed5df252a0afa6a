package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// runner runs clients against servers, each in a process of its own.
type runner struct {
	self     string // this program
	duration time.Duration
	warmup   time.Duration
	profiles string // directory; empty: none
	secrets  string // directory of the certificate
	dir      string // in which the files of clients that store messages are
	files    string // of the client that runs; empty: it has none
}

// patience is how much longer than asked a client may take before it counts as
// hanging. Subscribing to 10,000 filters is slow with some, and so is to collect
// the garbage of 10,000 clients with half a megabyte each.
const patience = time.Minute

// run measures e in s once. Failures are part of the sample.
func (r *runner) run(ctx context.Context, e *entry, s *scenario) sample {
	result, err := r.runStored(ctx, e, s)
	result.Scenario, result.Client = s.name, e.name
	if err != nil {
		result.Error = err.Error()
	}
	return result
}

func (r *runner) runServed(ctx context.Context, e *entry, s *scenario) (sample, error) {
	if s.stored > 0 {
		if err := r.fill(ctx, e, s); err != nil {
			return sample{}, err
		}
	}
	if s.server == "mosquitto" {
		addr, stop, err := startMosquitto()
		if err != nil {
			return sample{}, err
		}
		defer stop()
		return r.runClient(ctx, e, s, addr)
	}
	if s.kind == returning {
		return r.runReturning(ctx, e, s)
	}
	settings := s.serverSettings()
	settings.secrets = r.secrets
	server, addr, err := r.startServer(ctx, settings)
	if err != nil {
		return sample{}, err
	}
	result, err := r.runClient(ctx, e, s, addr)
	report, serverErr := server.stop()
	if err != nil {
		return result, err
	}
	result.Disorder = report.Disorder
	if result.Total > 0 {
		result.Lost = int64(result.Total) - int64(report.Published)
	}
	return result, serverErr
}

// serverProcess is a sink or firehose.
type serverProcess struct {
	cmd   *exec.Cmd
	stdin interface{ Close() error }
	lines *bufio.Reader
	log   bytes.Buffer
}

func (r *runner) startServer(ctx context.Context, settings serverSettings) (*serverProcess, string, error) {
	p := &serverProcess{cmd: exec.CommandContext(ctx, r.self, settings.arguments()...)}
	p.cmd.Stderr = &p.log
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, "", err
	}
	p.lines = bufio.NewReader(stdout)
	addr, err := p.lines.ReadString('\n')
	if err != nil {
		p.stop()
		return nil, "", fmt.Errorf("server: %w: %s", err, p.log.String())
	}
	return p, strings.TrimSpace(addr), nil
}

// stop ends the server by closing its standard input and reads its report.
func (p *serverProcess) stop() (report serverReport, err error) {
	p.stdin.Close()
	err = json.NewDecoder(p.lines).Decode(&report)
	err = errors.Join(err, p.cmd.Wait())
	if err == nil && report.Errors > 0 {
		err = errors.New("server: " + strings.TrimSpace(p.log.String()))
	}
	return report, err
}

// runClient runs the client process and reads its sample.
func (r *runner) runClient(ctx context.Context, e *entry, s *scenario, addr string) (result sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.warmup+r.duration+patience)
	defer cancel()
	command, err := r.command(e, s, addr)
	if err != nil {
		return result, err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	// A Go program that hangs says where.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		const most = 4 << 10
		said := bytes.TrimSpace(stderr.Bytes())
		return result, fmt.Errorf("client: %w: %s", err, said[:min(most, len(said))])
	}
	return result, json.Unmarshal(stdout.Bytes(), &result)
}

// command is how to start the client process.
func (r *runner) command(e *entry, s *scenario, addr string) ([]string, error) {
	certificate := ""
	if s.transport == overTLS {
		certificate = certificateFile(r.secrets)
	}
	if e.external != nil {
		command, err := e.external.prepare()
		j := &job{scenario: *s, addr: addr, certificate: certificate, warmup: r.warmup, duration: r.duration, dir: r.files}
		return append(command[:len(command):len(command)], e.external.arguments(j)...), err
	}
	return []string{
		r.self, "client", "-scenario", s.name, "-client", e.name, "-addr", addr, "-certificate", certificate, "-dir", r.files,
		"-warmup", r.warmup.String(), "-duration", r.duration.String(), "-profile", r.profiles,
	}, nil
}

// rounds runs everything, round by round: A B C A B C, so that what changes on
// the machine meanwhile hits all alike.
func (r *runner) rounds(ctx context.Context, plans []plan, rounds int, done func(sample)) {
	for _, p := range plans {
		for round := range rounds {
			for i := range p.entries {
				if ctx.Err() != nil {
					return
				}
				s := r.run(ctx, &p.entries[i], &p.scenario)
				s.Round = round
				done(s)
			}
		}
	}
}
