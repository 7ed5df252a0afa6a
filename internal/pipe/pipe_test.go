package pipe

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBothSidesMayWriteFirst(t *testing.T) {
	a, b := New(0)
	for _, c := range []net.Conn{a, b} {
		n, err := c.Write([]byte("hello"))
		require.NoError(t, err)
		require.Equal(t, 5, n)
	}
	for _, c := range []net.Conn{a, b} {
		got := make([]byte, 10)
		n, err := c.Read(got)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got[:n]))
	}
}

func TestBytesArriveInOrderWhateverTheSizes(t *testing.T) {
	for _, buffer := range []int{1, 7, chunkSize - 1, chunkSize, chunkSize + 1, DefaultBuffer} {
		a, b := New(buffer)
		sent := make([]byte, 20*chunkSize+13)
		random := rand.New(rand.NewPCG(1, uint64(buffer)))
		for i := range sent {
			sent[i] = byte(random.Uint32())
		}

		var writer sync.WaitGroup
		writer.Go(func() {
			for rest := sent; len(rest) > 0; {
				n, err := a.Write(rest[:min(len(rest), 1+random.IntN(3*chunkSize))])
				if err != nil {
					t.Error(err)
					break
				}
				rest = rest[n:]
			}
			a.Close()
		})
		// An odd reading size makes the chunk borders fall everywhere.
		var got bytes.Buffer
		_, err := io.CopyBuffer(&got, struct{ io.Reader }{b}, make([]byte, 1021))
		require.NoError(t, err)
		require.True(t, bytes.Equal(sent, got.Bytes()), "buffer %d", buffer)
		writer.Wait()
	}
}

func TestPeerReadsWhatWasWrittenBeforeClose(t *testing.T) {
	a, b := New(0)
	_, err := a.Write([]byte("last words"))
	require.NoError(t, err)
	require.NoError(t, a.Close())

	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "last words", string(got))
	_, err = b.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err, "bare, as callers compare it")
	_, err = b.Write([]byte("x"))
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestClosedEndFails(t *testing.T) {
	a, _ := New(0)
	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "closing twice is harmless")

	_, err := a.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = a.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, a.SetDeadline(time.Now()), net.ErrClosed)
}

func TestCloseWriteLeavesReadingOpen(t *testing.T) {
	a, b := New(0)
	require.NoError(t, a.(interface{ CloseWrite() error }).CloseWrite())
	_, err := b.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	_, err = b.Write([]byte("answer"))
	require.NoError(t, err)
	require.NoError(t, b.Close())
	got, err := io.ReadAll(a)
	require.NoError(t, err)
	require.Equal(t, "answer", string(got))
}

func TestCloseWakesTheBlocked(t *testing.T) {
	for name, closer := range map[string]func(a, b net.Conn) net.Conn{
		"own end":  func(a, _ net.Conn) net.Conn { return a },
		"peer end": func(_, b net.Conn) net.Conn { return b },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := New(4)
				var readErr, writeErr error
				var n int
				go func() { _, readErr = a.Read(make([]byte, 1)) }()
				go func() { n, writeErr = a.Write([]byte("more than fits")) }()
				synctest.Wait()
				require.NoError(t, closer(a, b).Close())
				synctest.Wait()
				require.Error(t, readErr)
				require.Error(t, writeErr)
				require.Equal(t, 4, n)
			})
		})
	}
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := New(0)
		start := time.Now()
		require.NoError(t, a.SetReadDeadline(start.Add(30*time.Second)))
		_, err := a.Read(make([]byte, 1))
		requireTimeout(t, err)
		require.Equal(t, 30*time.Second, time.Since(start))

		// It stays expired even when bytes are there, until it is moved.
		_, err = b.Write([]byte("x"))
		require.NoError(t, err)
		_, err = a.Read(make([]byte, 1))
		requireTimeout(t, err)
		require.NoError(t, a.SetReadDeadline(time.Time{}))
		_, err = a.Read(make([]byte, 1))
		require.NoError(t, err)
		_, err = a.Write([]byte("x"))
		require.NoError(t, err, "writing has a deadline of its own")
	})
}

func TestPastDeadlineInterruptsTheBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := New(1)
		var readErr, writeErr error
		go func() { _, readErr = a.Read(make([]byte, 1)) }()
		go func() { _, writeErr = a.Write([]byte("xx")) }()
		synctest.Wait()
		require.NoError(t, a.SetDeadline(time.Unix(1, 0)))
		synctest.Wait()
		requireTimeout(t, readErr)
		requireTimeout(t, writeErr)
	})
}

func TestMovedDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := New(0)
		start := time.Now()
		// Forward, back, off and on again: only the last word counts.
		for _, wait := range []time.Duration{time.Minute, time.Second, time.Hour, 5 * time.Second} {
			require.NoError(t, a.SetReadDeadline(time.Time{}))
			require.NoError(t, a.SetReadDeadline(start.Add(wait)))
		}
		_, err := a.Read(make([]byte, 1))
		requireTimeout(t, err)
		require.Equal(t, 5*time.Second, time.Since(start))

		moved := make(chan error, 1)
		require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Second)))
		go func() {
			_, err := a.Read(make([]byte, 1))
			moved <- err
		}()
		synctest.Wait()
		start = time.Now()
		require.NoError(t, a.SetReadDeadline(start.Add(time.Minute)))
		requireTimeout(t, <-moved)
		require.Equal(t, time.Minute, time.Since(start), "a blocked Read follows")
	})
}

func TestWriteDeadlineReportsWhatWentOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := New(8)
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := a.Write([]byte("0123456789"))
		requireTimeout(t, err)
		require.Equal(t, 8, n)

		got := make([]byte, 16)
		n, err = b.Read(got)
		require.NoError(t, err)
		require.Equal(t, "01234567", string(got[:n]))
	})
}

func TestWritersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers, length = 8, 1000
		a, b := New(16)
		for i := range writers {
			go func() {
				_, err := a.Write(bytes.Repeat([]byte{byte('a' + i)}, length))
				if err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait() // all of them are durably blocked, or this would hang

		got := make([]byte, writers*length)
		_, err := io.ReadFull(b, got)
		require.NoError(t, err)
		for block := range writers {
			part := got[block*length : (block+1)*length]
			require.Equal(t, length, bytes.Count(part, part[:1]), "writes are mixed")
		}
	})
}

func TestWaitingWriterKeepsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := New(1)
		const writers = 2
		errs := make(chan error, writers)
		for range writers {
			go func() {
				_, err := a.Write([]byte("xx"))
				errs <- err
			}()
		}
		synctest.Wait()
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		for range writers {
			requireTimeout(t, <-errs)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	a, b := New(512)
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for range 500 {
				_, _ = a.Write(make([]byte, 100))
				_ = a.SetDeadline(time.Now().Add(time.Minute))
			}
		})
	}
	var mu sync.Mutex
	total := 0
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			got := make([]byte, 64)
			for {
				n, err := b.Read(got)
				mu.Lock()
				total += n
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	users.Wait()
	require.NoError(t, a.Close())
	readers.Wait()
	require.Equal(t, 4*500*100, total)
}

func TestEmptyReadAndWrite(t *testing.T) {
	a, b := New(0)
	n, err := a.Write(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = b.Read(nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	a, b := New(1 << 20)
	_, err := a.Write(make([]byte, 1<<20))
	require.NoError(t, err)
	_, err = io.ReadFull(b, make([]byte, 1<<20))
	require.NoError(t, err)
	require.Empty(t, a.(*Conn).out.queue.chunks)
}

func requireTimeout(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	netErr, ok := errors.AsType[net.Error](err)
	require.True(t, ok)
	require.True(t, netErr.Timeout())
}

func BenchmarkThroughput(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 64 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			writer, reader := New(0)
			var drain sync.WaitGroup
			drain.Go(func() { _, _ = io.CopyBuffer(io.Discard, struct{ io.Reader }{reader}, make([]byte, 64<<10)) })
			packet := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := writer.Write(packet); err != nil {
					b.Fatal(err)
				}
			}
			writer.Close()
			drain.Wait()
		})
	}
}

func BenchmarkPingPong(b *testing.B) {
	near, far := New(0)
	var echo sync.WaitGroup
	echo.Go(func() { _, _ = io.CopyBuffer(struct{ io.Writer }{far}, struct{ io.Reader }{far}, make([]byte, 64)) })
	packet := make([]byte, 2)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = near.Write(packet)
		if _, err := io.ReadFull(near, packet); err != nil {
			b.Fatal(err)
		}
	}
	near.Close()
	echo.Wait()
}
