package faultproxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/pipe"
)

// server accepts connections for a test to play the server's part on.
type server struct {
	t     *testing.T
	l     net.Listener
	conns chan net.Conn
}

func newServer(t *testing.T) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{t: t, l: l, conns: make(chan net.Conn, 16)}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns <- c
		}
	})
	t.Cleanup(func() {
		l.Close()
		accepting.Wait()
		for len(s.conns) > 0 {
			(<-s.conns).Close()
		}
	})
	return s
}

func (s *server) addr() string { return s.l.Addr().String() }

// connect returns both ends of a connection through the proxy.
func (s *server) connect(p *Proxy) (client, far net.Conn) {
	s.t.Helper()
	client, err := net.Dial("tcp", p.Addr())
	require.NoError(s.t, err)
	far = <-s.conns
	for _, c := range []net.Conn{client, far} {
		require.NoError(s.t, c.SetDeadline(time.Now().Add(10*time.Second)))
		s.t.Cleanup(func() { c.Close() })
	}
	return client, far
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

func want(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func TestPassesBytesAndEnds(t *testing.T) {
	s := newServer(t)
	p := New(t, s.addr())
	require.True(t, strings.HasPrefix(p.URL(), "mqtt://127.0.0.1:"))
	client, far := s.connect(p)
	send(t, client, "request")
	want(t, far, "request")
	send(t, far, "answer!!")
	want(t, client, "answer!!")
	require.NoError(t, p.WaitBytes(t.Context(), 7, 8))
	require.Equal(t, Stats{Open: 1, Accepted: 1, Up: 7, Down: 8}, p.Stats())

	// A half-close goes through, and the other half still carries bytes.
	require.NoError(t, client.(*net.TCPConn).CloseWrite())
	_, err := far.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	send(t, far, "bye")
	far.Close()
	want(t, client, "bye")
	require.NoError(t, p.WaitConnections(t.Context(), 0))
}

func TestCutAfterIsExactToTheByte(t *testing.T) {
	const big = 1 << 20
	for name, test := range map[string]struct{ up, down int }{
		"at once":               {0, -1},
		"first byte up":         {1, -1},
		"middle of a packet":    {12345, -1},
		"beyond one piece":      {3*pieceSize + 7, -1},
		"down":                  {-1, 777},
		"down beyond one piece": {-1, 2*pieceSize + 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			p := New(t, s.addr())
			p.CutAfter(test.up, test.down)
			client, far := s.connect(p)
			from, to, limit := client, far, test.up
			if test.up < 0 {
				from, to, limit = far, client, test.down
			}
			sent := make([]byte, big)
			_, _ = rand.Read(sent)
			var writer sync.WaitGroup
			writer.Go(func() { _, _ = from.Write(sent) })
			got, _ := io.ReadAll(to)
			writer.Wait()
			require.Len(t, got, limit)
			require.True(t, bytes.Equal(sent[:limit], got))
			require.NoError(t, p.Wait(t.Context(), func(s Stats) bool { return s.Cut == 1 && s.Open == 0 }))

			again, farAgain := s.connect(p)
			send(t, again, "whole")
			want(t, farAgain, "whole")
		})
	}
}

func TestResetAfterResets(t *testing.T) {
	s := newServer(t)
	p := New(t, s.addr())
	p.ResetAfter(4, -1)
	client, far := s.connect(p)
	send(t, client, "12345")
	_, err := io.ReadAll(far)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = io.ReadAll(client)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.NoError(t, p.Wait(t.Context(), func(s Stats) bool { return s.Cut == 1 && s.Open == 0 }))
}

func TestSilenceAfterEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.Listen(0), pipe.Listen(0)
		defer far.Close()
		p := NewListener(t, near, far.Dial)
		p.SilenceAfter(4, -1)
		client, err := near.Dial(t.Context())
		require.NoError(t, err)
		server, err := far.Accept()
		require.NoError(t, err)
		defer server.Close()
		send(t, client, "12345")
		want(t, server, "1234")
		send(t, server, "the other direction stays")
		want(t, client, "the other direction stays")
		client.Close()
		require.NoError(t, server.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = server.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 1, p.Connections())
		require.Equal(t, 1, p.Drop())
		require.Zero(t, p.Stats().Cut)
	})
}

func TestRandomCutsFollowTheSeed(t *testing.T) {
	cuts := func() (at []int64) {
		s := newServer(t)
		p := New(t, s.addr())
		p.RandomCuts(42, 10, 2000)
		for range 8 {
			before := p.BytesUp()
			client, far := s.connect(p)
			_, _ = client.Write(make([]byte, 3000))
			_, _ = io.Copy(io.Discard, far)
			require.NoError(t, p.WaitConnections(t.Context(), 0))
			at = append(at, p.BytesUp()-before)
		}
		p.RandomCuts(0, 0, 0)
		client, far := s.connect(p)
		send(t, client, strings.Repeat("x", 3000))
		want(t, far, strings.Repeat("x", 3000))
		return at
	}
	first := cuts()
	require.Equal(t, first, cuts())
	distinct := map[int64]bool{}
	for _, at := range first {
		require.GreaterOrEqual(t, at, int64(10))
		require.LessOrEqual(t, at, int64(2000))
		distinct[at] = true
	}
	require.Greater(t, len(distinct), 4)
}

func TestDropResetsEverything(t *testing.T) {
	s := newServer(t)
	p := New(t, s.addr())
	var ends []net.Conn
	for range 3 {
		client, far := s.connect(p)
		send(t, client, "x") // the proxy has both ends when this has arrived
		want(t, far, "x")
		ends = append(ends, client, far)
	}
	require.Equal(t, 3, p.Drop())
	require.Zero(t, p.Connections())
	for _, c := range ends {
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotEqual(t, io.EOF, err, "a reset is not an orderly end")
	}
	client, far := s.connect(p)
	send(t, client, "new")
	want(t, far, "new")
}

func TestHangupEndsInOrder(t *testing.T) {
	s := newServer(t)
	p := New(t, s.addr())
	client, far := s.connect(p)
	require.Equal(t, 1, p.Hangup())
	for _, c := range []net.Conn{client, far} {
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	}
}

func TestBlackholeHoldsOneDirection(t *testing.T) {
	s := newServer(t)
	p := New(t, s.addr())
	client, far := s.connect(p)
	p.Blackhole(Down)
	send(t, far, "held")
	send(t, client, "passes")
	want(t, far, "passes")
	require.Zero(t, p.BytesDown())
	p.Blackhole(None)
	want(t, client, "held")
}

func TestBlackholeHidesTheEndOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.Listen(0), pipe.Listen(0)
		defer far.Close()
		p := NewListener(t, near, far.Dial)
		client, err := near.Dial(t.Context())
		require.NoError(t, err)
		server, err := far.Accept()
		require.NoError(t, err)

		p.Blackhole(Both)
		send(t, server, "lost?")
		require.NoError(t, server.Close())
		require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = client.Read(make([]byte, 1))
		timeout, ok := errors.AsType[net.Error](err)
		require.True(t, ok && timeout.Timeout(), "an hour of silence, got %v", err)

		p.Blackhole(None)
		require.NoError(t, client.SetReadDeadline(time.Time{}))
		want(t, client, "lost?")
		_, err = client.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		client.Close()
	})
}

func TestBlackholeInterruptsAWriteUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.Listen(0), pipe.Listen(4)
		defer far.Close()
		p := NewListener(t, near, far.Dial)
		client, err := near.Dial(t.Context())
		require.NoError(t, err)
		server, err := far.Accept()
		require.NoError(t, err)

		send(t, client, "0123456789")
		synctest.Wait() // four bytes fit, the proxy is blocked on the fifth
		p.Blackhole(Up)
		want(t, server, "0123")
		synctest.Wait()
		require.Equal(t, int64(4), p.BytesUp())
		p.Blackhole(None)
		want(t, server, "456789")
		client.Close()
		server.Close()
	})
}

// inMemory is a proxy between two ends, in fake time.
func inMemory(t *testing.T) (p *Proxy, client, server net.Conn) {
	near, far := pipe.Listen(0), pipe.Listen(0)
	p = NewListener(t, near, far.Dial)
	client, err := near.Dial(t.Context())
	require.NoError(t, err)
	server, err = far.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		client.Close()
		server.Close()
		far.Close()
	})
	return p, client, server
}

// exchange passes a text in each direction and returns how long that took.
func exchange(t *testing.T, client, server net.Conn) time.Duration {
	start := time.Now()
	send(t, client, "ping")
	want(t, server, "ping")
	send(t, server, "pong")
	want(t, client, "pong")
	return time.Since(start)
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, client, server := inMemory(t)
		p.Delay(250 * time.Millisecond)
		require.Equal(t, 500*time.Millisecond, exchange(t, client, server))
	})
}

func TestJitterFollowsTheSeedAndHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, client, server := inMemory(t)
		p.Delay(time.Second)
		var took [2][]time.Duration
		for round := range took {
			p.Jitter(7, 100*time.Millisecond)
			for range 20 {
				d := exchange(t, client, server)
				require.GreaterOrEqual(t, d, 2*time.Second)
				require.Less(t, d, 2200*time.Millisecond)
				took[round] = append(took[round], d)
			}
		}
		require.Equal(t, took[0], took[1])
		require.NotEqual(t, took[0][0], took[0][1])
		p.Jitter(7, 0)
		require.Equal(t, 2*time.Second, exchange(t, client, server))
	})
}

func TestThrottleLimitsEachDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, client, server := inMemory(t)
		p.Throttle(10_000)
		start := time.Now()
		payload := strings.Repeat("0123456789", 3000)
		send(t, client, payload)
		send(t, server, payload)
		want(t, server, payload)
		want(t, client, payload)
		require.Equal(t, 3*time.Second, time.Since(start))

		// What waits at the old rate continues at the new one.
		send(t, client, payload)
		time.Sleep(time.Second)
		p.Throttle(0)
		want(t, server, payload)
		require.LessOrEqual(t, time.Since(start), 4*time.Second+time.Second/ticks)
	})
}

func TestHealEndsEveryFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, client, server := inMemory(t)
		p.Delay(time.Second)
		p.Jitter(1, time.Second)
		p.Throttle(1)
		p.Blackhole(Both)
		p.Refuse(true)
		p.CutAfter(0, 0)
		p.RandomCuts(1, 1, 1)
		p.Heal()
		require.Zero(t, exchange(t, client, server))
		require.Equal(t, faults{}, p.faults)
	})
}

func TestRefuse(t *testing.T) {
	s := newServer(t)
	p := New(t, s.addr())
	old, far := s.connect(p)
	p.Refuse(true)
	refused, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	defer refused.Close()
	_, err = refused.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, p.Wait(t.Context(), func(s Stats) bool { return s.Refused == 1 }))
	send(t, old, "still there")
	want(t, far, "still there")

	p.Refuse(false)
	client, far := s.connect(p)
	send(t, client, "welcome")
	want(t, far, "welcome")
	require.NoError(t, p.WaitAccepted(t.Context(), 2))
}

func TestUnreachableServerEndsTheConnection(t *testing.T) {
	p := NewDial(t, func(context.Context) (net.Conn, error) { return nil, io.ErrUnexpectedEOF })
	client, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, p.Wait(t.Context(), func(s Stats) bool { return s.Accepted == 1 && s.Open == 0 }))
}

func TestHoldDownPassesOnlyWhatIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.Listen(0), pipe.Listen(0)
		defer far.Close()
		p := NewListener(t, near, far.Dial)
		verdicts := make(chan error)
		p.HoldDown(func(ctx context.Context) error {
			select {
			case err := <-verdicts:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		connect := func() (client, server net.Conn) {
			client, err := near.Dial(t.Context())
			require.NoError(t, err)
			server, err = far.Accept()
			require.NoError(t, err)
			return client, server
		}

		client, server := connect()
		send(t, server, "ack")
		synctest.Wait()
		require.Zero(t, p.BytesDown())
		verdicts <- nil
		want(t, client, "ack")

		send(t, server, "unsaved")
		verdicts <- io.ErrUnexpectedEOF
		got, err := io.ReadAll(client)
		require.NoError(t, err)
		require.Empty(t, got)

		// A connection that is dropped does not wait for its commit.
		client, server = connect()
		send(t, server, "too late")
		synctest.Wait()
		require.Equal(t, 1, p.Drop())
		got, err = io.ReadAll(client)
		require.NoError(t, err)
		require.Empty(t, got)
		server.Close()
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.Listen(0), pipe.Listen(0)
		p := NewListener(t, near, far.Dial)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.WaitConnections(ctx, 1), context.DeadlineExceeded)
		far.Close()
	})
}

func TestNothingRunsAfterTheTest(t *testing.T) {
	t.Run("a test that leaves everything open", func(t *testing.T) {
		s := newServer(t)
		p := New(t, s.addr())
		blocked := NewDial(t, func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		client, _ := s.connect(p)
		p.Blackhole(Both)
		send(t, client, "held forever")
		dialling, err := net.Dial("tcp", blocked.Addr())
		require.NoError(t, err)
		t.Cleanup(func() { dialling.Close() })
		require.NoError(t, blocked.WaitAccepted(t.Context(), 1))
	})
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, frame := range []string{"faultproxy.(*link).", "faultproxy.(*Proxy)."} {
		for line := range strings.Lines(string(stacks)) {
			require.False(t, strings.Contains(line, frame) && !strings.HasPrefix(line, "created by"), line)
		}
	}
}

func BenchmarkThroughput(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	p := New(b, l.Addr().String())
	client, err := net.Dial("tcp", p.Addr())
	require.NoError(b, err)
	far, err := l.Accept()
	require.NoError(b, err)
	var drain sync.WaitGroup
	drain.Go(func() { _, _ = io.Copy(io.Discard, struct{ io.Reader }{far}) })
	packet := make([]byte, 16<<10)
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(packet); err != nil {
			b.Fatal(err)
		}
	}
	client.Close()
	drain.Wait()
	far.Close()
}
