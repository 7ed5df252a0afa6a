package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/internal/pipe"
)

// thinConn counts what is written to it, and breaks after some bytes.
type thinConn struct {
	net.Conn
	writes int
	left   int // bytes that it still takes, if broken is set
	broken error
}

func (c *thinConn) Write(b []byte) (int, error) {
	c.writes++
	if c.broken == nil || len(b) <= c.left {
		c.left -= len(b)
		return c.Conn.Write(b)
	}
	n, _ := c.Conn.Write(b[:c.left])
	c.left = 0
	return n, c.broken
}

// securePair returns a TLS connection, the one below it, and what the server gets when
// that is closed.
func securePair(t *testing.T, version uint16) (c *secureConn, below *thinConn, got func() []byte) {
	certificates := authority.New(t)
	ours, theirs := pipe.New(1 << 20)
	server := tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{certificates.Issue(t, nil, "server")}, MaxVersion: version})
	var serving sync.WaitGroup
	var received bytes.Buffer
	serving.Go(func() { io.Copy(&received, server) }) //nolint:errcheck // the connection breaks
	below = &thinConn{Conn: ours}
	c, err := startTLS(t.Context(), below, &tls.Config{RootCAs: certificates.Roots}, "server", new(tlsTerms))
	require.NoError(t, err)
	below.writes = 0
	return c, below, func() []byte {
		ours.Close()
		serving.Wait()
		return received.Bytes()
	}
}

// numbered returns n bytes none of which is in a wrong place unnoticed.
func numbered(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

func TestRecordsOfOneWriteTravelTogether(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c, below, got := securePair(t, version)
		all := numbered(600_000)
		sent := 0
		for _, step := range []struct{ size, writes int }{
			{10, 1},
			{10_000, 1}, // of small records, because the connection is young
			{gatheredSize, 1},
			{200_000, 5},
			{20_000, 1},
			{300_000, 7},
		} {
			n, err := c.Write(all[sent : sent+step.size])
			require.NoError(t, err)
			require.Equal(t, step.size, n)
			require.Equal(t, step.writes, below.writes, step.size)
			sent += n
			below.writes = 0
		}
		require.True(t, bytes.Equal(all[:sent], got()))
	}
}

func TestWriteThatFailsTellsWhichRecordsWereWritten(t *testing.T) {
	broken := errors.New("broken")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, before := range []int{0, 200_000} { // with small records, and with large ones
			for _, left := range []int{0, 1, 30_000, 60_000, 99_000} {
				c, below, got := securePair(t, version)
				all := numbered(before + 100_000)
				_, err := c.Write(all[:before])
				require.NoError(t, err)
				below.broken, below.left = broken, left
				n, err := c.Write(all[before:])
				require.ErrorIs(t, err, broken)
				require.Less(t, n, 100_000)
				writes := below.writes
				_, err = c.Write(all[:10])
				require.ErrorIs(t, err, broken)
				_, err = c.Write(all[:10_000])
				require.ErrorIs(t, err, broken)
				require.Equal(t, writes, below.writes, "nothing may follow half a record")
				require.True(t, bytes.Equal(all[:before+n], got()), "%d of %d", n, left)
			}
		}
	}
}

// hookedConn calls a function in each Write.
type hookedConn struct {
	net.Conn
	hook    func()
	written []string
}

func (c *hookedConn) Write(b []byte) (int, error) {
	c.written = append(c.written, string(b))
	if hook := c.hook; hook != nil {
		c.hook = nil
		hook()
	}
	return len(b), nil
}

// A reader may have to write records, too. It does not wait for the network then, and the
// records stay in order.
func TestRecordWrittenDuringAFlushFollowsWithoutWaiting(t *testing.T) {
	below := new(hookedConn)
	r := &records{Conn: below}
	write := func(s string) {
		n, err := r.Write([]byte(s))
		require.NoError(t, err)
		require.Equal(t, len(s), n)
	}
	write("alone")
	require.True(t, r.gather())
	require.False(t, r.gather(), "it belongs to somebody")
	write("first ")
	write("second")
	below.hook = func() { write("meanwhile") }
	_, err := r.flush(0)
	require.NoError(t, err)
	write("after")
	require.Equal(t, []string{"alone", "first second", "meanwhile", "after"}, below.written)
	require.True(t, r.gather())
	_, err = r.flush(0)
	require.NoError(t, err)
	require.Len(t, below.written, 4, "there was nothing")
}
