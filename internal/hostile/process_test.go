package hostile

import (
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a victim, from outside.
type process struct {
	cmd    *exec.Cmd
	calls  *rpc.Client
	stderr tail
	exited chan struct{}
}

// startProcess runs a victim that has so many bytes of memory as its goal, and is ended
// when it takes more than ceiling. It ends with stop, and with this process.
func startProcess(t testing.TB, goal, ceiling int) *process {
	self, err := os.Executable()
	require.NoError(t, err)
	p := &process{cmd: exec.Command(self), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(),
		fmt.Sprintf("%s=%d", victimVariable, ceiling), fmt.Sprintf("GOMEMLIMIT=%d", goal), "GORACE=halt_on_error=1")
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	p.calls = jsonrpc.NewClient(&pipes{out, in})
	go func() { _ = p.cmd.Wait(); close(p.exited) }() // stop waits for it
	return p
}

// stop ends the victim and returns when it is gone.
func (p *process) stop() {
	p.calls.Close()
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// A victim that hangs ends with its parent, which closes the pipe by that.
func TestVictimEndsWithItsParent(t *testing.T) {
	t.Parallel()
	victim := startProcess(t, processBase, ceiling)
	defer victim.stop()
	hanging := victim.calls.Go("Victim.Hang", struct{}{}, new(struct{}), nil)
	require.NoError(t, victim.calls.Close())
	select {
	case <-victim.exited:
	case <-time.After(patience):
		t.Fatal("the victim lives on")
	}
	require.Error(t, (<-hanging.Done).Error)
	require.True(t, victim.cmd.ProcessState.Success(), victim.stderr.String())
}

// call asks the victim for something. An error says what became of it.
func call[R any](p *process, method string, argument any) (reply R, err error) {
	if err := p.calls.Call("Victim."+method, argument, &reply); err != nil {
		return reply, fmt.Errorf("victim: %s: %w %s", method, err, p.stderr.String())
	}
	return reply, nil
}

// pipes are the victim's standard output and input.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p *pipes) Close() error {
	p.WriteCloser.Close()
	return p.ReadCloser.Close()
}

// tail keeps the beginning of what a victim complains of.
type tail struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(p[:min(len(p), 4<<10-min(t.text.Len(), 4<<10))])
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
