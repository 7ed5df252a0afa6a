package line

import (
	"errors"
	"io"
	"time"
)

const (
	// slices is into how many parts the limit of a write is divided, in each of which
	// is looked whether something has moved: so late the limit may be.
	slices = 16
	// What is written at once to a connection that can be spoilt by a time-out, and may
	// be TLS, depends on how long it takes. Buffers on the way are fast until they are
	// full, so it stays within one record of TLS.
	smallestPiece = 1 << 10
	firstPiece    = 4 << 10
	largestPiece  = 16 << 10
)

// Read reads what has arrived. [os.ErrDeadlineExceeded] says that nothing has for the
// limit, or that a deadline has passed.
func (c *Conn) Read(b []byte) (int, error) {
	began := c.now()
	c.asked.Store(c.received.Load())
	for {
		n, err := c.read(b)
		if n > 0 {
			c.in.last.Store(int64(c.now()))
			c.received.Add(int64(n))
			return n, err
		}
		if err == nil || !timedOut(err) {
			return n, err
		}
		since := max(began, c.heard())
		if c.over(&c.in, since) {
			return n, err
		}
		if failed := c.arm(&c.in, c.Conn.SetReadDeadline, since); failed != nil {
			return n, failed
		}
	}
}

func (c *Conn) read(b []byte) (int, error) {
	if c.socket != nil {
		return c.socket.read(b)
	}
	return c.Conn.Read(b)
}

// heard returns when the last byte arrived, here or below.
func (c *Conn) heard() time.Duration {
	if c.below != nil {
		return c.below.Heard().Sub(c.start)
	}
	return time.Duration(c.in.last.Load())
}

// Write writes b. [os.ErrDeadlineExceeded] says that nothing of it was taken for the
// limit, or that a deadline has passed.
func (c *Conn) Write(b []byte) (written int, err error) {
	if !c.writing.CompareAndSwap(false, true) {
		// Somebody looks after the deadline already.
		n, err := c.Conn.Write(b)
		c.sent.Add(int64(n))
		return n, err
	}
	defer c.stop()
	c.unsent = -1
	for since := c.now(); ; {
		began := c.now()
		if err := c.ready(began, since); err != nil {
			return written, err
		}
		n, err := c.write(b[written:])
		written += n
		now := c.now()
		if n > 0 {
			since = now
			c.sent.Add(int64(n))
			c.out.last.Store(int64(now))
			c.learn(n, now-began)
		}
		switch {
		case err == nil && written == len(b):
			return written, nil
		case err == nil && n == 0:
			return written, io.ErrShortWrite
		case err == nil:
			continue
		case !timedOut(err):
			return written, err
		}
		if n == 0 && c.drains() {
			since = now
		}
		if c.over(&c.out, since) {
			return written, err
		}
	}
}

// ready arms the deadline of a write that begins now. Where it can be continued a
// deadline of before is good enough most of the time.
func (c *Conn) ready(now, since time.Duration) error {
	limit := time.Duration(c.out.limit.Load())
	if limit == 0 && c.out.until.Load() == 0 {
		return nil
	}
	if !c.partial {
		return c.arm(&c.out, c.Conn.SetWriteDeadline, since)
	}
	slice := limit
	if c.memory == nil { // of which we hear at once
		slice /= slices
	}
	if left := time.Duration(c.out.armed.Load()) - now; left > slice/2 && left <= slice {
		return nil
	}
	return c.armSlice(&c.out, c.Conn.SetWriteDeadline, since, slice)
}

// stop ends a Write. What may be TLS also writes by itself while it is read, and must
// not find a deadline that was meant for us.
func (c *Conn) stop() {
	c.writing.Store(false)
	if !c.partial && c.out.limit.Load() != 0 {
		_ = c.arm(&c.out, c.Conn.SetWriteDeadline, idle) // the next Write has the same error
	}
}

// write writes b or the beginning of it.
func (c *Conn) write(b []byte) (int, error) {
	switch {
	case c.memory != nil:
		return c.memory.WriteSome(b)
	case c.partial:
		return c.Conn.Write(b)
	}
	return c.Conn.Write(b[:min(len(b), c.piece)])
}

// learn makes the pieces of a slow line small, and those of a fast one large.
func (c *Conn) learn(n int, took time.Duration) {
	switch limit := time.Duration(c.out.limit.Load()); {
	case limit == 0:
	case took > limit/8:
		c.piece = smallestPiece
	case took < limit/64 && n == c.piece:
		c.piece = min(2*c.piece, largestPiece)
	}
}

// drains reports whether the other side has taken something since it was last called:
// an operating system that has much to send takes nothing for a long time, and then a
// lot.
func (c *Conn) drains() bool {
	n, known := c.Unsent()
	if !known {
		return false
	}
	before := c.unsent
	c.unsent = n
	return n < before
}

// TryWrite writes as much of b as there is space for, without waiting, and returns how
// much that was: nothing unless Poll has said true. Errors are left to the next Write.
// It must not be called together with itself or Write.
func (c *Conn) TryWrite(b []byte) int {
	if c.socket == nil {
		return 0
	}
	n := c.socket.tryWrite(b)
	c.sent.Add(int64(n))
	return n
}

// TryRead is Read without waiting: the error is [ErrNothing] when nothing has arrived. It
// is for connections of which Poll has said true.
func (c *Conn) TryRead(b []byte) (int, error) {
	c.asked.Store(c.received.Load())
	n, err := c.socket.tryRead(b)
	if n > 0 {
		c.in.last.Store(int64(c.now()))
		c.received.Add(int64(n))
		return n, err
	}
	if err != nil && timedOut(err) {
		return 0, ErrNothing // Read finds out whether time is over
	}
	return n, err
}

// ErrNothing says that nothing has arrived.
var ErrNothing = errors.New("nothing has arrived")

// Poll makes c call waits when it is about to wait in a Read, because it has found
// nothing. It reports whether it can tell, which only a socket can. Nobody may read
// or write yet.
func (c *Conn) Poll(waits func()) bool {
	c.socket = socketOf(c.Conn, waits)
	return c.socket != nil
}
