package conformance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// ClientRun says how to check a client program.
type ClientRun struct {
	// Open starts the program. Several run at a time, and each serves many checks, one
	// after the other.
	Open func(ctx context.Context) (Client, error)
	// Versions are those to check. If nil, they are 3.1.1 and 5.0, as far as the
	// program has them.
	Versions []wire.Version
	// Only chooses statements. If nil, all are checked.
	Only func(*Statement) bool
	// Parallel is how many checks run at a time. Zero means eight.
	Parallel int
	// Patience is how long a step of a check waits for what has to come. Zero means
	// ten seconds.
	Patience time.Duration
}

// ClientStatements returns the statements that bind clients, by section, those that
// no check can see too.
func ClientStatements() []*Statement {
	checks := clientChecks()
	statements := make([]*Statement, len(checks))
	for i := range checks {
		statements[i] = &checks[i].Statement
	}
	return statements
}

// Run carries out the checks and returns their results, by statement and version. The
// error says that the program cannot be run.
func (r ClientRun) Run(ctx context.Context) ([]Result, error) {
	r.Parallel = cmp.Or(r.Parallel, 8)
	r.Patience = cmp.Or(r.Patience, 10*time.Second)
	first, err := r.Open(ctx)
	if err != nil {
		return nil, err
	}
	jobs := r.jobs(first.Hello())
	programs := &pool{open: r.Open, idle: []Client{first}}
	defer programs.close()
	results := make([]Result, len(jobs))
	next := make(chan int)
	var running sync.WaitGroup
	for range r.Parallel {
		running.Go(func() {
			for i := range next {
				results[i] = r.check(ctx, programs, jobs[i], i)
			}
		})
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	running.Wait()
	return results, context.Cause(ctx)
}

// job is one check in one version.
type job struct {
	*clientCheck
	version wire.Version
}

func (r ClientRun) jobs(hello Hello) (jobs []job) {
	versions := r.Versions
	if versions == nil {
		versions = []wire.Version{wire.V311, wire.V5}
	}
	checks := clientChecks()
	for i := range checks {
		for _, v := range versions {
			c := &checks[i]
			if len(c.Numbers(v)) > 0 && slices.Contains(hello.Versions, int(v)) && (r.Only == nil || r.Only(&c.Statement)) {
				jobs = append(jobs, job{c, v})
			}
		}
	}
	return jobs
}

// check carries out one check on a program of the pool.
func (r ClientRun) check(ctx context.Context, programs *pool, j job, number int) Result {
	result := Result{Statement: &j.Statement, Name: j.Name, Version: j.version}
	if j.NotObserved != "" {
		result.Outcome, result.Detail = NotObserved, j.NotObserved
		return result
	}
	client, err := programs.take(ctx)
	if err != nil {
		result.Outcome, result.Detail = Fails, fmt.Sprintf("the program does not start: %v", err)
		return result
	}
	s, err := newScript(ctx, client, j.version, number, r.Patience)
	if err != nil {
		result.Outcome, result.Detail = NotObserved, err.Error()
		programs.giveBack(ctx, client, true)
		return result
	}
	result.Outcome, result.Detail = s.run(j.check)
	programs.giveBack(ctx, client, s.close())
	return result
}

// pool keeps programs that wait for the next check.
type pool struct {
	open func(ctx context.Context) (Client, error)

	mu   sync.Mutex // guards idle
	idle []Client
}

func (p *pool) take(ctx context.Context) (Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return c, nil
	}
	p.mu.Unlock()
	defer p.mu.Lock()
	return p.open(ctx)
}

// resetPatience is how long a program may take to forget a check before another is
// started in its place.
const resetPatience = 3 * time.Second

// giveBack ends a program that is of no more use, and resets another.
func (p *pool) giveBack(ctx context.Context, c Client, usable bool) {
	if usable {
		ctx, cancel := context.WithTimeout(ctx, resetPatience)
		defer cancel()
		a, err := c.Do(ctx, Operation{Op: "reset"})
		usable = err == nil && a.OK
	}
	if !usable {
		_ = c.Close()
		return
	}
	drain(c.Events())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, c)
}

// drain drops what waits there.
func drain(events <-chan Event) {
	for {
		select {
		case _, open := <-events:
			if !open {
				return
			}
		default:
			return
		}
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle = nil
}
