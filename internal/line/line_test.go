package line

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/pipe"
)

// custom is a connection of which nothing is known.
type custom struct{ net.Conn }

// pair returns a Conn over memory, or over something unknown, and its other end.
func pair(buffer int, unknown bool) (*Conn, net.Conn) {
	near, far := pipe.New(buffer)
	if unknown {
		near = custom{near}
	}
	return New(near), far
}

// each runs f with both kinds of connections.
func each(t *testing.T, f func(t *testing.T, unknown bool)) {
	t.Run("memory", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, false) }) })
	t.Run("unknown", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, true) }) })
}

// drip reads n bytes, one after each pause.
func drip(t *testing.T, nc net.Conn, n int, pause time.Duration) {
	for range n {
		time.Sleep(pause)
		if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
			t.Error(err)
		}
	}
}

func TestWriteGoesOnWhileAnythingIsTaken(t *testing.T) {
	each(t, func(t *testing.T, unknown bool) {
		c, far := pair(16, unknown)
		c.SetWriteLimit(10 * time.Second)
		go drip(t, far, 84, 10*time.Second-1)
		n, err := c.Write(make([]byte, 100))
		require.NoError(t, err)
		require.Equal(t, 100, n)
		require.EqualValues(t, 100, c.Sent())
		time.Sleep(time.Hour)
	})
}

func TestWriteEndsWhenNothingIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(16, false)
		c.SetWriteLimit(10 * time.Second)
		for range 2 { // an old deadline does not shorten the second
			_, err := c.Write(make([]byte, 16))
			require.NoError(t, err)
			io.ReadFull(far, make([]byte, 16))
			time.Sleep(7 * time.Second)
		}
		go drip(t, far, 3, 9*time.Second)
		begun := time.Now()
		n, err := c.Write(make([]byte, 100))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 19, n)
		require.Equal(t, 37*time.Second, time.Since(begun))
	})
}

func TestUnknownConnectionThatTakesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(16, true)
		c.SetWriteLimit(10 * time.Second)
		_, err := c.Write(make([]byte, 16))
		require.NoError(t, err)
		begun := time.Now()
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 10*time.Second, time.Since(begun))
		// What it does by itself when nobody writes has no limit.
		go drip(t, far, 1, time.Hour)
		_, err = c.Conn.Write([]byte("x"))
		require.NoError(t, err)
	})
}

// throttle takes a whole Write and then lets it wait for its bandwidth, whatever the
// deadline.
type throttle struct {
	net.Conn
	pieces int
}

func (c *throttle) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(len(b)) * time.Second / 2000)
	c.pieces++
	return c.Conn.Write(b)
}

func TestWhatTakesAllAtOnceGetsItInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.New(1 << 20)
		slow := &throttle{Conn: near}
		c := New(slow)
		c.SetWriteLimit(15 * time.Second)
		_, err := c.Write(make([]byte, 1<<20)) // nine minutes
		require.NoError(t, err)
		require.Greater(t, slow.pieces, 200)

		fast := &throttle{Conn: custom{far}}
		c = New(fast.Conn)
		c.SetWriteLimit(15 * time.Second)
		_, err = c.Write(make([]byte, 1<<20))
		require.NoError(t, err)
		require.Equal(t, largestPiece, c.piece)
	})
}

func TestReadWaitsForTheNextByteOnly(t *testing.T) {
	each(t, func(t *testing.T, unknown bool) {
		c, far := pair(16, unknown)
		require.NoError(t, c.SetReadLimit(10*time.Second))
		go func() {
			for range 5 {
				time.Sleep(10*time.Second - 1)
				far.Write([]byte("x"))
			}
		}()
		_, err := io.ReadFull(c, make([]byte, 5))
		require.NoError(t, err)
		require.Zero(t, time.Since(c.Heard()))
		begun := time.Now()
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 10*time.Second, time.Since(begun))
		// Whoever comes late finds what has come in time.
		far.Write([]byte("x"))
		time.Sleep(time.Hour)
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		begun = time.Now()
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 10*time.Second, time.Since(begun))
	})
}

func TestDeadlinesAreForTheWhole(t *testing.T) {
	each(t, func(t *testing.T, unknown bool) {
		c, far := pair(16, unknown)
		c.SetWriteLimit(10 * time.Second)
		require.NoError(t, c.SetReadLimit(10*time.Second))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := far.Read(make([]byte, 1)); err != nil {
					return
				}
				far.Write([]byte("x"))
				time.Sleep(time.Second)
			}
		}()
		time.AfterFunc(5*time.Second, func() { c.SetDeadline(time.Now().Add(20 * time.Second)) })
		begun := time.Now()
		_, err := c.Write(make([]byte, 1000))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 25*time.Second, time.Since(begun))
		_, err = io.ReadFull(c, make([]byte, 1000))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 25*time.Second, time.Since(begun))

		require.NoError(t, c.SetDeadline(time.Time{}))
		require.NoError(t, c.Finish(time.Now().Add(3*time.Second)))
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Hour)))
		_, err = c.Write(make([]byte, 1000))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 28*time.Second, time.Since(begun))
		require.NoError(t, c.Close())
		require.ErrorIs(t, c.Close(), net.ErrClosed)
		<-done
	})
}

func TestHandshakeIsGivenTimeByItsBytes(t *testing.T) {
	for _, test := range []struct {
		rate int // bytes a second
		took time.Duration
	}{
		{100_000, 1 * time.Second},
		{1100, 91 * time.Second},
		{800, 29 * time.Second}, // it falls behind
		{1, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, far := pair(0, false)
			require.NoError(t, c.Handshake(10*time.Second))
			go func() {
				for sent := 0; sent < 100_000; sent += test.rate {
					time.Sleep(time.Second)
					if _, err := far.Write(make([]byte, test.rate)); err != nil {
						return
					}
				}
			}()
			begun := time.Now()
			_, err := io.ReadFull(c, make([]byte, 100_000))
			took := time.Since(begun).Round(time.Second)
			require.Equal(t, test.rate > 1000, err == nil, "%d: %v", test.rate, err)
			require.InDelta(t, test.took.Seconds(), took.Seconds(), 5, "%d bytes a second", test.rate)
			require.NoError(t, c.SetDeadline(time.Time{}))
			c.Close()
			time.Sleep(time.Minute)
		})
	}
}

func TestFollowedConnectionIsProofOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bottom, far := pair(0, false)
		passedOn, from := pipe.New(0)
		c := Follow(passedOn, bottom)
		require.NoError(t, c.SetReadLimit(10*time.Second))
		go func() {
			for range 5 {
				time.Sleep(9 * time.Second)
				far.Write([]byte("x"))
				bottom.Read(make([]byte, 1))
			}
			from.Write([]byte("whole"))
		}()
		n, err := c.Read(make([]byte, 10))
		require.NoError(t, err)
		require.Equal(t, 5, n)
	})
}

// failing fails by itself.
type failing struct {
	net.Conn
	err error
}

func (c failing) Read([]byte) (int, error)       { return 0, c.err }
func (c failing) Write([]byte) (int, error)      { return 0, c.err }
func (failing) SetReadDeadline(time.Time) error  { return nil }
func (failing) SetWriteDeadline(time.Time) error { return nil }

func TestTimeoutsOfOthersAreFinal(t *testing.T) {
	for _, err := range []error{os.ErrDeadlineExceeded, syscall.ETIMEDOUT, io.ErrUnexpectedEOF} {
		c := New(failing{err: err})
		c.SetWriteLimit(time.Hour)
		require.NoError(t, c.SetReadLimit(time.Hour))
		_, got := c.Read(make([]byte, 1))
		require.Equal(t, err, got)
		_, got = c.Write(make([]byte, 1))
		require.Equal(t, err, got)
	}
	_, err := New(failing{}).Write(make([]byte, 1))
	require.Equal(t, io.ErrShortWrite, err)
}

// foreign is the time-out of a library that knows nothing of package os.
type foreign struct{ error }

func (foreign) Timeout() bool   { return true }
func (foreign) Temporary() bool { return true }

func TestWhatIsATimeout(t *testing.T) {
	require.True(t, timedOut(&net.OpError{Err: os.ErrDeadlineExceeded}))
	require.True(t, timedOut(foreign{errors.New("late")}))
	require.False(t, timedOut(&net.OpError{Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}))
	require.False(t, timedOut(io.EOF))
}

func TestUnderFindsTheBottom(t *testing.T) {
	c, _ := pair(0, false)
	require.Same(t, c, Under(c))
	require.Same(t, c, Under(tls.Client(c, &tls.Config{})))
	require.Nil(t, Under(custom{c}))
	require.Nil(t, Under(tls.Client(custom{c}, &tls.Config{})))
}

func TestTakenIsWhatHasLeft(t *testing.T) {
	c, far := pair(100, false)
	_, err := c.Write(make([]byte, 100))
	require.NoError(t, err)
	taken, known := c.Taken()
	require.True(t, known)
	require.Zero(t, taken)
	far.Read(make([]byte, 30))
	taken, _ = c.Taken()
	require.EqualValues(t, 30, taken)
	c, _ = pair(100, true)
	_, known = c.Taken()
	require.False(t, known)
}

func TestNeitherReadNorWriteAllocates(t *testing.T) {
	for _, unknown := range []bool{false, true} {
		c, far := pair(0, unknown)
		c.SetWriteLimit(time.Minute)
		require.NoError(t, c.SetReadLimit(time.Minute))
		b := make([]byte, 100)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			c.Write(b)
			far.Read(b)
			far.Write(b)
			c.Read(b)
		}))
	}
}
