package pipe

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDialThenAccept(t *testing.T) {
	l := Listen(0)
	require.Equal(t, "memory", l.Addr().Network())
	client, err := l.Dial(t.Context())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)

	_, err = client.Write([]byte("hi"))
	require.NoError(t, err)
	got := make([]byte, 2)
	_, err = io.ReadFull(server, got)
	require.NoError(t, err)
	require.Equal(t, "hi", string(got))
	require.Equal(t, "memory", client.RemoteAddr().String())
}

func TestListenerClose(t *testing.T) {
	l := Listen(0)
	accepted, err := l.Dial(t.Context())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)
	waiting, err := l.Dial(t.Context())
	require.NoError(t, err)

	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	_, err = waiting.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err, "nobody will ever accept it")
	_, err = l.Dial(t.Context())
	require.ErrorIs(t, err, ErrRefused)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)

	_, err = server.Write([]byte("x"))
	require.NoError(t, err)
	_, err = accepted.Read(make([]byte, 1))
	require.NoError(t, err, "accepted connections live on")
}

func TestCloseWakesAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen(0)
		var err error
		go func() { _, err = l.Accept() }()
		synctest.Wait()
		require.NoError(t, l.Close())
		synctest.Wait()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestDialWaitsUnderItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen(0)
		for range backlog {
			_, err := l.Dial(t.Context())
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.Dial(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = l.Dial(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestNoConnectionIsForgottenWhenClosingRacesDialing(t *testing.T) {
	for range 200 {
		l := Listen(0)
		var dialers sync.WaitGroup
		for range 4 {
			dialers.Go(func() {
				c, err := l.Dial(t.Context())
				if err != nil {
					return
				}
				if _, err = c.Read(make([]byte, 1)); err != io.EOF {
					t.Error("read:", err)
				}
			})
		}
		require.NoError(t, l.Close())
		dialers.Wait()
	}
}
