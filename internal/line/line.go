// Package line is the network connection at the bottom of all others, below TLS and
// WebSocket. It decides when the connection is dead: when nothing has moved for as long
// as a limit says. A slow line is not dead. What counts is therefore each byte that
// moves, not the packet, the TLS record or the frame that it belongs to, and only this
// layer sees them all. Besides, a write that times out breaks TLS and WebSocket, so no
// time-out may reach them while there is progress.
//
// Every time is taken from the monotonic clock: changes of the wall clock do not matter.
package line

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed65a45251/mqtt/internal/pipe"
)

// Conn is a connection whose limits count progress. Beside them it has the
// deadlines of a [net.Conn], which are for the whole; what comes first ends a Read
// or a Write. Like those of any [net.Conn], its methods may be called at the same
// time, except that one goroutine reads at a time.
type Conn struct {
	net.Conn
	start   time.Time
	partial bool       // a write that timed out says how far it came and may be continued
	memory  *pipe.Conn // nil: it is none
	socket  *socket    // nil: no socket of the operating system, or nobody has asked
	below   *Conn      // whose bytes are proof of life for us; nil: none but our own

	in, out  bound
	last     atomic.Int64 // when all is over, whatever is set later; 0: never
	closed   atomic.Bool
	received atomic.Int64 // bytes
	asked    atomic.Int64 // received when Read was last called
	taken    int64        // bytes that were read before New; negative: unknown
	sent     atomic.Int64
	writing  atomic.Bool

	// Of the Write under way.
	piece  int // how much is written at once where partial is false
	unsent int // what Unsent said last; negative: unknown
}

// New returns nc with no limits yet.
func New(nc net.Conn) *Conn {
	c := &Conn{Conn: nc, start: time.Now(), piece: firstPiece, unsent: -1, taken: readBefore(nc)}
	switch nc := nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		c.partial = true
	case *pipe.Conn:
		c.partial, c.memory = true, nc
	}
	return c
}

// Follow returns nc, to which somebody passes on what arrives on below. It waits
// for a limit only from when a byte has last arrived there.
func Follow(nc net.Conn, below *Conn) *Conn {
	c := New(nc)
	c.below = below
	return c
}

// Under returns the Conn at the bottom of nc, which is a Conn or, like a
// connection of crypto/tls, says by a method NetConn what it is made of. If there
// is none, it returns nil.
func Under(nc net.Conn) *Conn {
	for {
		switch c := nc.(type) {
		case *Conn:
			return c
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}

// Close closes the connection, once.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	return c.Conn.Close()
}

// CloseWrite closes the sending side, where there is such a thing.
func (c *Conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Heard returns when bytes last arrived, or when the connection began.
func (c *Conn) Heard() time.Time { return c.start.Add(time.Duration(c.in.last.Load())) }

// Moved returns how many bytes have moved in both directions, and when the last did.
func (c *Conn) Moved() (bytes int64, last time.Time) {
	return c.received.Load() + c.sent.Load(), c.start.Add(time.Duration(max(c.in.last.Load(), c.out.last.Load())))
}

// Sent returns how many bytes were written.
func (c *Conn) Sent() int64 { return c.sent.Load() }

// Taken returns how many bytes of what was written have left this side. It is less
// than what was written while the operating system holds some of it. Where nobody
// can know, it returns false.
func (c *Conn) Taken() (bytes int64, known bool) {
	sent := c.sent.Load()
	n, known := c.Unsent()
	return sent - int64(n), known
}

// Unsent returns how many bytes were written and have not been taken by the other
// side, if that can be known.
func (c *Conn) Unsent() (bytes int, known bool) {
	if c.memory != nil {
		return c.memory.Unread(), true
	}
	if socket, ok := c.Conn.(syscall.Conn); ok {
		return unsent(socket)
	}
	return 0, false
}

// now is the time since the connection began.
func (c *Conn) now() time.Duration { return time.Since(c.start) }

// timedOut reports whether err is that of a deadline. An error of the operating
// system that calls itself a time-out is something else: the connection is gone.
func timedOut(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	if !ok || !e.Timeout() {
		return false
	}
	_, system := errors.AsType[syscall.Errno](err)
	return !system
}
