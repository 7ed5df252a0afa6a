// Package pipe is a network in memory: buffered duplex connections and a
// listener that hands them out.
//
// A connection behaves like a TCP connection on one machine: writes return once
// the bytes fit the buffer, reads return what is there, deadlines and Close work
// from any goroutine. Unlike [net.Pipe] it does not make the writer meet the
// reader, and several writers may wait at once, so both sides of a protocol can
// write first without a deadlock.
//
// Everything blocks on sync.Cond, channels and timers only. Inside a
// testing/synctest bubble a blocked Read, Write, Accept or Dial is therefore
// durably blocked, provided that the connection or listener was made in that
// bubble.
package pipe

import (
	"io"
	"net"
	"time"
)

// DefaultBuffer is the space in bytes of each direction when none is asked for.
const DefaultBuffer = 64 << 10

// New returns the two ends of a connection. Each direction holds up to buffer
// bytes that are written and not yet read; zero or less means [DefaultBuffer].
// Memory grows with the bytes that wait, an idle connection has none reserved.
//
// After Close the peer still reads what was written before, then io.EOF.
// Operations on a closed end fail with [net.ErrClosed], writes to an end whose
// peer has closed with [io.ErrClosedPipe], both inside a [net.OpError]. Both ends
// also have CloseWrite, which ends only the direction away from them.
func New(buffer int) (a, b net.Conn) {
	return newPair(buffer)
}

func newPair(buffer int) (a, b *Conn) {
	if buffer <= 0 {
		buffer = DefaultBuffer
	}
	ab, ba := newStream(buffer), newStream(buffer)
	return &Conn{in: ba, out: ab}, &Conn{in: ab, out: ba}
}

// Conn is one end: it reads one stream and writes the other. It has no lock of
// its own, so the two directions never wait for each other.
type Conn struct {
	in, out *stream
}

// Read waits until something is there.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, opError("read", err)
}

// Write blocks until all of p is in the buffer. Writes of several goroutines are
// not mixed. When it fails, n says how much the peer can still read.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p, false)
	return n, opError("write", err)
}

// WriteSome waits only until there is space for anything, and writes that much.
func (c *Conn) WriteSome(p []byte) (int, error) {
	n, err := c.out.write(p, true)
	return n, opError("write", err)
}

// Unread returns how many bytes were written that the peer has not read.
func (c *Conn) Unread() int { return c.out.unread() }

// Arrived returns how many bytes the peer has written so far, and how many of them
// are not read.
func (c *Conn) Arrived() (bytes int64, unread int) { return c.in.arrived() }

// Close ends both directions.
func (c *Conn) Close() error {
	c.out.closeWriter()
	c.in.closeReader()
	return nil
}

// CloseWrite tells the peer that nothing more comes; reading goes on.
func (c *Conn) CloseWrite() error {
	c.out.closeWriter()
	return nil
}

// LocalAddr returns an Addr.
func (c *Conn) LocalAddr() net.Addr { return Addr{} }

// RemoteAddr returns an Addr.
func (c *Conn) RemoteAddr() net.Addr { return Addr{} }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline is also for a Read that is under way.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return opError("set", c.in.setReadDeadline(t))
}

// SetWriteDeadline is also for a Write that is under way, which says how far it came.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return opError("set", c.out.setWriteDeadline(t))
}

// Addr is the address of every end and listener; there is nothing to tell them
// apart by.
type Addr struct{}

// Network returns "memory".
func (Addr) Network() string { return "memory" }

// String returns "memory".
func (Addr) String() string { return "memory" }

// opError wraps err as the net package does, so that callers find what they
// know from sockets: Timeout, errors.Is, and a bare io.EOF.
func opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "memory", Addr: Addr{}, Err: err}
}
