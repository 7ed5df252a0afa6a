package pong

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/pipe"
)

func TestAnswerWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire bytes.Buffer
		a := New(&wire, false)
		a.Begin()
		wire.WriteString("frame")
		require.False(t, a.Received(t.Context(), []byte("1")))
		require.False(t, a.Received(t.Context(), []byte("2")))
		time.Sleep(time.Hour)
		require.Equal(t, "frame", wire.String())
		a.End()
		synctest.Wait()
		require.Equal(t, "frame\x8a\x012", wire.String(), "the last is enough")
		a.Received(t.Context(), nil)
		synctest.Wait()
		require.Equal(t, "frame\x8a\x012\x8a\x00", wire.String())
		a.Close()
		a.Received(t.Context(), nil)
		synctest.Wait()
		require.Len(t, wire.String(), 10, "nothing follows the end")
	})
}

func TestAnswerOfAClientIsMasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wire bytes.Buffer
		a := New(&wire, true)
		a.Received(t.Context(), []byte("hello"))
		synctest.Wait()
		frame := wire.Bytes()
		require.Equal(t, []byte{0x8a, 0x85}, frame[:2])
		for i := range 5 {
			frame[6+i] ^= frame[2+i%4]
		}
		require.Equal(t, "hello", string(frame[6:]))
	})
}

func TestCloseWaitsForTheAnswerUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := pipe.New(1)
		a := New(near, false)
		a.Received(t.Context(), []byte("hello"))
		synctest.Wait()
		time.AfterFunc(time.Second, func() { near.Close() })
		a.Close()
		_, err := near.Write(nil)
		require.ErrorIs(t, err, net.ErrClosed)
	})
}
