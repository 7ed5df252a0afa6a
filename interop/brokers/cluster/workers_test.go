package cluster

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/match"
)

var doneTopic = match.MustParsePattern("done/{partition}/{customer}/{job}")

// program is examples/workers in a process of its own.
type program struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when it takes jobs, and when it has ended
	ended chan struct{} // closed when all that it has printed is noted
}

// shop is what all programs have printed.
type shop struct {
	t       *testing.T
	binary  string
	servers string

	mu   sync.Mutex
	done []message // without those that were done again
	seen map[message]bool
}

func newShop(t *testing.T, c *cluster) *shop {
	s := &shop{t: t, binary: filepath.Join(t.TempDir(), "workers"), servers: strings.Join(c.urls(0), ","), seen: map[message]bool{}}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.binary, "./examples/workers")
	build.Dir = "../../.."
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return s
}

func (s *shop) start(args ...string) *program {
	s.t.Helper()
	p := &program{
		cmd:   exec.Command(s.binary, append(args, "-server", s.servers, "-shared-sessions", "-partitions", "2")...),
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	p.cmd.Stderr = s.t.Output()
	out, err := p.cmd.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, p.cmd.Start())
	s.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	go s.read(out, p)
	return p
}

func (s *shop) read(out io.Reader, p *program) {
	defer close(p.ended)
	ready := sync.OnceFunc(func() { close(p.ready) })
	defer ready()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "takes ") {
			ready()
		}
		if topic, ok := doneTopic.Match(lines.Text()); ok {
			m := messageOf(topic.Get("customer"), []byte(topic.Get("job")))
			s.mu.Lock()
			if !s.seen[m] {
				s.done = append(s.done, m)
			}
			s.seen[m] = true
			s.mu.Unlock()
		}
	}
}

func (s *shop) worker(partition int) *program {
	s.t.Helper()
	p := s.start("-n", "0", "-partition", strconv.Itoa(partition))
	<-p.ready
	return p
}

// want waits until so many jobs are done.
func (s *shop) want(n int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.done) >= n
	}, patience, 10*time.Millisecond)
}

// kill ends a program as kill -9 does.
func (s *shop) kill(p *program) {
	require.NoError(s.t, p.cmd.Process.Kill())
	<-p.ended
	require.ErrorContains(s.t, p.cmd.Wait(), "signal: killed")
}

// The workers of the example go on where a killed worker stopped, and on another node when
// theirs is killed. All jobs are done, those of each customer in order.
func TestTheExampleOnACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nodeOptions{AckWait: 3 * time.Second, MaxAckPending: 1})
	s := newShop(t, c)
	workers := []*program{s.worker(0), s.worker(1)}
	const jobs = 400
	publisher := s.start("-n", strconv.Itoa(jobs), "-publish-only")
	s.want(20)
	for i, p := range workers {
		s.kill(p)
		workers[i] = s.worker(i)
	}
	s.want(60)
	c.kill(0) // all are here: it comes first in the list
	s.want(jobs)
	<-publisher.ended
	require.NoError(t, publisher.cmd.Wait())
	requireInOrder(t, "customers", s.done)
	for _, p := range workers {
		s.kill(p)
	}
}
