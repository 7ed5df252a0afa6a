//go:build unix

package mqtt

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// socketPair returns both ends of a connection, ours wrapped.
func socketPair(t *testing.T) (ours *pollConn, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	peer, err := l.Accept()
	require.NoError(t, err)
	wrapped, ours := polled(nc)
	require.Same(t, ours, wrapped)
	t.Cleanup(func() { ours.Close(); peer.Close() })
	return ours, peer.(*net.TCPConn)
}

func TestPollConnSaysWhenItIsAboutToWait(t *testing.T) {
	ours, theirs := socketPair(t)
	waits := make(chan struct{}, 10)
	ours.waits = func() { waits <- struct{}{} }
	_, err := theirs.Write([]byte("abc"))
	require.NoError(t, err)
	require.NoError(t, ours.SetReadDeadline(time.Now().Add(10*time.Second)))
	b := make([]byte, 2)
	n, err := io.ReadFull(ours, b)
	require.NoError(t, err)
	require.Equal(t, "ab", string(b[:n]))
	for range len(waits) { // the bytes may have been late
		<-waits
	}
	n, err = ours.Read(b)
	require.NoError(t, err)
	require.Equal(t, "c", string(b[:n]))
	require.Empty(t, waits, "there was no need to wait")

	read := make(chan error, 1)
	go func() {
		_, err := ours.Read(b)
		read <- err
	}()
	<-waits // before anything has come
	_, err = theirs.Write([]byte("d"))
	require.NoError(t, err)
	require.NoError(t, <-read)
	require.Equal(t, byte('d'), b[0])
	n, err = ours.Read(nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestPollConnEndsLikeASocket(t *testing.T) {
	t.Run("end", func(t *testing.T) {
		ours, theirs := socketPair(t)
		require.NoError(t, theirs.CloseWrite())
		_, err := ours.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.NoError(t, ours.CloseWrite())
		_, err = theirs.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	})
	t.Run("reset", func(t *testing.T) {
		ours, theirs := socketPair(t)
		require.NoError(t, theirs.SetLinger(0))
		require.NoError(t, theirs.Close())
		_, err := ours.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, known := errors.AsType[*net.OpError](err)
		require.True(t, known)
	})
	t.Run("deadline", func(t *testing.T) {
		ours, _ := socketPair(t)
		require.NoError(t, ours.SetReadDeadline(time.Now().Add(time.Millisecond)))
		_, err := ours.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
	t.Run("closed", func(t *testing.T) {
		ours, _ := socketPair(t)
		read := make(chan error, 1)
		waits := make(chan struct{}, 1)
		ours.waits = func() { waits <- struct{}{} }
		go func() {
			_, err := ours.Read(make([]byte, 1))
			read <- err
		}()
		<-waits
		require.NoError(t, ours.Close())
		require.ErrorIs(t, <-read, net.ErrClosed)
	})
}

func TestOnlySocketsArePolled(t *testing.T) {
	ours, _ := socketPair(t)
	again, p := polled(ours)
	require.Same(t, ours, again, "what wraps a socket is left alone")
	require.Nil(t, p)
}

func TestPollConnWritesWithoutWaiting(t *testing.T) {
	ours, theirs := socketPair(t)
	var sent []byte
	block := make([]byte, 64<<10)
	for n := len(block); n == len(block); {
		for i := range block {
			block[i] = byte(len(sent) + i)
		}
		n = ours.tryWrite(block)
		sent = append(sent, block[:n]...)
	}
	require.Zero(t, ours.tryWrite(block), "the socket is full")
	got := make([]byte, len(sent))
	_, err := io.ReadFull(theirs, got)
	require.NoError(t, err)
	require.Equal(t, sent, got)

	require.NoError(t, ours.Close())
	require.Zero(t, ours.tryWrite(block))
}
