//go:build unix

package line

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
func socketPair(t *testing.T, waits func()) (ours *Conn, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	peer, err := l.Accept()
	require.NoError(t, err)
	ours = New(nc)
	require.True(t, ours.Poll(waits))
	t.Cleanup(func() { ours.Close(); peer.Close() })
	return ours, peer.(*net.TCPConn)
}

func TestSocketSaysWhenItIsAboutToWait(t *testing.T) {
	waits := make(chan struct{}, 10)
	ours, theirs := socketPair(t, func() { waits <- struct{}{} })
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

func TestSocketEndsLikeASocket(t *testing.T) {
	t.Run("end", func(t *testing.T) {
		ours, theirs := socketPair(t, func() {})
		require.NoError(t, theirs.CloseWrite())
		_, err := ours.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.NoError(t, ours.CloseWrite())
		_, err = theirs.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	})
	t.Run("reset", func(t *testing.T) {
		ours, theirs := socketPair(t, func() {})
		require.NoError(t, theirs.SetLinger(0))
		require.NoError(t, theirs.Close())
		_, err := ours.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, known := errors.AsType[*net.OpError](err)
		require.True(t, known)
	})
	t.Run("deadline", func(t *testing.T) {
		ours, _ := socketPair(t, func() {})
		require.NoError(t, ours.SetReadDeadline(time.Now().Add(time.Millisecond)))
		_, err := ours.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
	t.Run("closed", func(t *testing.T) {
		waits := make(chan struct{}, 1)
		ours, _ := socketPair(t, func() { waits <- struct{}{} })
		read := make(chan error, 1)
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
	ours, _ := socketPair(t, func() {})
	wraps := New(ours)
	require.False(t, wraps.Poll(func() {}), "what wraps a socket is left alone")
	require.Zero(t, wraps.TryWrite([]byte("x")))
}

func TestSocketWritesWithoutWaiting(t *testing.T) {
	ours, theirs := socketPair(t, func() {})
	var sent []byte
	block := make([]byte, 64<<10)
	for n := len(block); n == len(block); {
		for i := range block {
			block[i] = byte(len(sent) + i)
		}
		n = ours.TryWrite(block)
		sent = append(sent, block[:n]...)
	}
	require.Zero(t, ours.TryWrite(block), "the socket is full")
	got := make([]byte, len(sent))
	_, err := io.ReadFull(theirs, got)
	require.NoError(t, err)
	require.Equal(t, sent, got)

	require.NoError(t, ours.Close())
	require.Zero(t, ours.TryWrite(block))
}

func TestSocketSaysWhatHasLeftIt(t *testing.T) {
	ours, theirs := socketPair(t, func() {})
	if _, known := ours.Taken(); !known {
		return // only Linux tells
	}
	block := make([]byte, 1<<20)
	for ours.TryWrite(block) > 0 {
	}
	before, _ := ours.Taken()
	require.Less(t, before, ours.Sent())
	require.False(t, ours.drains(), "there is nothing to compare with")
	go io.Copy(io.Discard, theirs)
	for {
		if taken, _ := ours.Taken(); taken > before {
			break
		}
	}
	require.True(t, ours.drains(), "it need not take anything of us for that")
}
