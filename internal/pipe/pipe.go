// Package pipe is a network in memory: buffered duplex connections, and a listener
// for them.
//
// A connection behaves like a TCP connection on one machine. Writes return once the
// bytes fit the buffer, reads return the bytes that are there, and deadlines and
// Close work from any goroutine. Unlike with [net.Pipe] a write does not wait for a
// read, and several writers may wait at once. Both sides of a protocol can therefore
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

// DefaultBuffer is the default capacity of each direction, in bytes.
const DefaultBuffer = 64 << 10

// New returns the two ends of a connection. Each direction holds up to buffer bytes
// that are written and not yet read. Zero or less means [DefaultBuffer]. Memory grows
// with the bytes that wait; an idle connection has none.
//
// After Close the peer still reads the bytes that were written before, then io.EOF.
// Operations on a closed end fail with [net.ErrClosed]. Writes to an end whose peer
// has closed fail with [io.ErrClosedPipe]. Both errors are inside a [net.OpError].
// Both ends also have CloseWrite, which ends only the direction to the peer.
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

// Read waits until there is at least one byte.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, opError("read", err)
}

// Write blocks until all of p is in the buffer. Concurrent writes are not mixed. If
// it fails, n is how many bytes the peer can still read.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p, false)
	return n, opError("write", err)
}

// WriteSome waits only until there is space for at least one byte, and writes as much
// as fits.
func (c *Conn) WriteSome(p []byte) (int, error) {
	n, err := c.out.write(p, true)
	return n, opError("write", err)
}

// Unread returns how many written bytes the peer has not read.
func (c *Conn) Unread() int { return c.out.unread() }

// Arrived returns how many bytes the peer has written so far, and how many of them
// have not been read.
func (c *Conn) Arrived() (bytes int64, unread int) { return c.in.arrived() }

// Close ends both directions.
func (c *Conn) Close() error {
	c.out.closeWriter()
	c.in.closeReader()
	return nil
}

// CloseWrite ends the direction to the peer. Reading continues.
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

// SetReadDeadline sets the deadline of Reads, also of one under way.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return opError("set", c.in.setReadDeadline(t))
}

// SetWriteDeadline sets the deadline of Writes, also of one under way, which returns
// how many bytes it has written.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return opError("set", c.out.setWriteDeadline(t))
}

// Addr is the address of every end and listener. They cannot be told apart by it.
type Addr struct{}

// Network returns "memory".
func (Addr) Network() string { return "memory" }

// String returns "memory".
func (Addr) String() string { return "memory" }

// opError wraps err as the net package does, so that callers find the same as with
// sockets: Timeout, errors.Is, and a bare io.EOF.
func opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "memory", Addr: Addr{}, Err: err}
}
