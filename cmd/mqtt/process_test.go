package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program is the built program, which all tests run.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mqtt-command")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "mqtt")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.Command("go", "build", "-o", program, ".")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	code := 1
	if err := build.Run(); err != nil {
		fmt.Println(err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// generous is a limit on what takes milliseconds, for machines that are busy.
const generous = 2 * time.Minute

// A process is a program that a test runs.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *buffer
	ended          chan struct{}
	code           int
}

// command prepares a run of the program, without profiles and settings of the machine.
func command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "TERM=xterm-256color"}
	return cmd
}

// start starts cmd. The test ends the process.
func start(t *testing.T, cmd *exec.Cmd) *process {
	p := &process{t: t, cmd: cmd, stdout: &buffer{}, stderr: &buffer{}, ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.stderr
	}
	require.NoError(t, cmd.Start())
	go func() {
		defer close(p.ended)
		_ = cmd.Wait()
		p.code = cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s\nstdout: %s\nstderr: %s", strings.Join(cmd.Args, " "), p.stdout, p.stderr)
		}
	})
	return p
}

// mqtt starts the program.
func mqtt(t *testing.T, args ...string) *process { return start(t, command(t, args...)) }

// foreign starts another program.
func foreign(t *testing.T, name string, args ...string) *process {
	return start(t, exec.Command(name, args...))
}

// wait waits for the end and returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(generous):
		require.FailNow(p.t, "the process does not end")
	}
	return p.code
}

// succeeds waits for the end, which has to be a success, and returns standard output.
func (p *process) succeeds() string {
	p.t.Helper()
	require.Equal(p.t, 0, p.wait(), p.stderr.String())
	return p.stdout.String()
}

// says waits until the process has written text to standard error.
func (p *process) says(text string) *process {
	p.t.Helper()
	p.waitFor(p.stderr, text)
	return p
}

// waitFor waits until b has text.
func (p *process) waitFor(b *buffer, text string) {
	p.t.Helper()
	end := time.After(generous)
	for {
		more := b.more() // before the look, so that no write is missed
		if strings.Contains(b.String(), text) {
			return
		}
		select {
		case <-more:
		case <-p.ended:
			// What it wrote last is there by now.
			require.Contains(p.t, b.String(), text, p.stderr.String())
			return
		case <-end:
			require.FailNow(p.t, "nothing like "+text)
		}
	}
}

// buffer keeps what a process writes.
type buffer struct {
	mu      sync.Mutex
	content bytes.Buffer
	grown   chan struct{}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grown != nil {
		close(b.grown)
		b.grown = nil
	}
	return b.content.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}

// more returns a channel that is closed by the next write.
func (b *buffer) more() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grown == nil {
		b.grown = make(chan struct{})
	}
	return b.grown
}
