package line

import (
	"sync/atomic"
	"time"
)

// bound says when one direction gives up. All times are since Conn.start.
type bound struct {
	limit atomic.Int64 // how long nothing may move; 0: forever
	until atomic.Int64 // when all is over; 0: never
	paced atomic.Bool  // until is that of Handshake
	armed atomic.Int64 // the deadline of the connection below; 0: none
	last  atomic.Int64 // when something moved
}

// A handshake may be as slow as 1,000 bytes a second: so much time each byte adds,
// beyond those that every handshake has.
const (
	perByte   = time.Millisecond
	freeBytes = 4 << 10
)

// Earned returns how much longer a handshake may take in which so many bytes have
// moved.
func Earned(bytes int64) time.Duration { return time.Duration(max(bytes-freeBytes, 0)) * perByte }

// grain is how early a connection may be with its deadlines.
const grain = 10 * time.Millisecond

// SetReadLimit makes a Read fail with [os.ErrDeadlineExceeded] when nothing has
// arrived for d since it began. Zero means no limit.
func (c *Conn) SetReadLimit(d time.Duration) error {
	c.in.limit.Store(int64(d))
	return c.arm(&c.in, c.Conn.SetReadDeadline, c.now())
}

// SetWriteLimit makes a Write that begins later fail with [os.ErrDeadlineExceeded]
// when the other side has taken nothing for d, as far as that can be known. Zero means
// no limit.
func (c *Conn) SetWriteLimit(d time.Duration) { c.out.limit.Store(int64(d)) }

// Handshake sets deadlines for what comes before everything else: d from now, and
// what the bytes that move have [Earned]. So a slow line gets through, and who sends
// a byte now and then does not stay forever. SetDeadline, SetReadDeadline and
// SetWriteDeadline replace it. Of the bytes of c all count, so it is called first.
func (c *Conn) Handshake(d time.Duration) error {
	until := instant(c.now() + d)
	for _, b := range []*bound{&c.in, &c.out} {
		b.until.Store(until)
		b.paced.Store(true)
	}
	return c.setBoth()
}

// earned is the time that the bytes of a handshake give it.
func (c *Conn) earned() time.Duration {
	if c.below != nil {
		return c.below.earned()
	}
	return Earned(c.received.Load() + c.sent.Load())
}

// Finish sets a deadline that no later one postpones: crypto/tls gives itself five
// seconds for its last words.
func (c *Conn) Finish(t time.Time) error {
	for until := c.until(t); ; {
		last := c.last.Load()
		if last != 0 && last <= until || c.last.CompareAndSwap(last, until) {
			return c.setBoth()
		}
	}
}

// SetDeadline is that of [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.postpone(c.until(t))
	c.out.postpone(c.until(t))
	return c.setBoth()
}

// SetReadDeadline is that of [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.postpone(c.until(t))
	return c.arm(&c.in, c.Conn.SetReadDeadline, c.now())
}

// SetWriteDeadline is that of [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.postpone(c.until(t))
	return c.arm(&c.out, c.Conn.SetWriteDeadline, c.writesSince())
}

// writesSince is now while a Write is under way.
func (c *Conn) writesSince() time.Duration {
	if c.writing.Load() {
		return c.now()
	}
	return idle
}

func (b *bound) postpone(until int64) {
	b.paced.Store(false)
	b.until.Store(until)
}

func (c *Conn) until(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return instant(t.Sub(c.start))
}

// instant keeps zero for what never comes.
func instant(d time.Duration) int64 {
	if d == 0 {
		return -1
	}
	return int64(d)
}

// idle says that nobody waits, so there is no limit.
const idle = -1

// due returns when b ends a wait in which something last moved at since, or which
// began then; 0: never.
func (c *Conn) due(b *bound, since time.Duration) time.Duration {
	due := time.Duration(b.until.Load())
	if due != 0 && b.paced.Load() {
		due = time.Duration(instant(due + c.earned()))
	}
	due = sooner(due, time.Duration(c.last.Load()))
	if limit := time.Duration(b.limit.Load()); limit != 0 && since != idle {
		return sooner(due, since+limit)
	}
	return due
}

// sooner returns which comes first; 0 never comes.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// arm sets the deadline of the connection below for a wait that began at since.
func (c *Conn) arm(b *bound, set func(time.Time) error, since time.Duration) error {
	return c.armSlice(b, set, since, 0)
}

// armSlice is arm, but the deadline comes after slice at the latest, unless that is
// zero. A limit that somebody sets meanwhile is not overtaken.
func (c *Conn) armSlice(b *bound, set func(time.Time) error, since, slice time.Duration) error {
	for {
		due := c.due(b, since)
		if slice != 0 {
			due = sooner(due, c.now()+slice)
		}
		b.armed.Store(int64(due))
		if err := set(c.at(due)); err != nil {
			return err
		}
		// One that has moved away is noticed when this one comes.
		if again := c.due(b, since); sooner(due, again) == due {
			return nil
		}
	}
}

// setBoth arms both directions.
func (c *Conn) setBoth() error {
	due := sooner(c.due(&c.in, c.now()), c.due(&c.out, c.writesSince()))
	c.in.armed.Store(int64(due))
	c.out.armed.Store(int64(due))
	return c.Conn.SetDeadline(c.at(due))
}

// at is a time since the beginning as a deadline.
func (c *Conn) at(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return c.start.Add(d)
}

// over reports whether a wait that was ended by the deadline of the connection below
// is at its end, given when something last moved or it began. A time-out that is not
// of our making is always the end.
func (c *Conn) over(b *bound, since time.Duration) bool {
	now := c.now()
	if armed := time.Duration(b.armed.Load()); armed == 0 || now < armed-grain {
		return true
	}
	due := c.due(b, since)
	return due != 0 && now >= due
}
