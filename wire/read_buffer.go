package wire

import (
	"sync"
	"sync/atomic"
)

const (
	firstBuffer = 64 // holds what an idle connection brings
	smallBuffer = 512
	largeBuffer = 64 << 10
	minStep     = 4 << 10
)

// largeBuffers holds the large buffers that no reader needs right now.
var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// readBuffer holds what was read and not yet taken. It works in its own small buffer, a borrowed
// large one, or one that was made for a packet that fits neither. Its own is of firstBuffer bytes until a
// read has filled that.
type readBuffer struct {
	b          []byte // the buffer in use
	start, end int    // what is unread: b[start:end]
	lastRead   int    // bytes that the last read returned
	filled     bool   // the last read filled it

	small    []byte
	proven   int                // size of a large packet that came not long ago, completely
	borrowed *[largeBuffer]byte // nil unless b is it
	detached bool               // b belongs to somebody else; only unread may still be copied from it

	returned atomic.Pointer[[largeBuffer]byte] // a buffer that was released: it is still warm
	latest   atomic.Pointer[[largeBuffer]byte] // the buffer that was detached last
}

func (r *readBuffer) unread() []byte { return r.b[r.start:r.end] }

// take takes the next n bytes. They stay where they are until space is called.
func (r *readBuffer) take(n int) []byte {
	if n > largeBuffer {
		r.proven = n
	}
	taken := r.b[r.start : r.start+n : r.start+n]
	r.start += n
	return taken
}

// wrote says that the source has put n bytes into the space.
func (r *readBuffer) wrote(n int) {
	r.end += n
	r.lastRead, r.filled = n, r.end == len(r.b)
}

// space returns memory to read into. size is the size of the packet that begins the unread bytes, or 0 if
// it is not known yet.
func (r *readBuffer) space(size int) []byte {
	if r.detached {
		r.moveOn()
	}
	switch {
	case r.start == r.end:
		r.reset()
	case r.start > 0 && (r.start+size > len(r.b) || r.end == len(r.b)):
		r.end = copy(r.b, r.unread())
		r.start = 0
	}
	switch {
	case r.filled && len(r.b) < largeBuffer:
		r.borrow()
	case r.end == len(r.b):
		r.grow(size)
	}
	return r.b[r.end:]
}

// reset begins again at the front, when nothing is unread. A large buffer that the last read had no
// need of goes back, one that was made for a large packet is dropped.
func (r *readBuffer) reset() {
	r.start, r.end = 0, 0
	if r.borrowed != nil && r.lastRead > smallBuffer {
		return
	}
	switch {
	case r.small == nil:
		r.small = make([]byte, firstBuffer)
	case len(r.small) < smallBuffer && (r.filled || r.borrowed != nil):
		r.small, r.filled = make([]byte, smallBuffer), false
	}
	r.giveBack()
	r.b = r.small
}

// detach gives the buffer away if it is a large one.
func (r *readBuffer) detach() (b Buffer, ok bool) {
	if r.detached || len(r.b) < largeBuffer {
		return Buffer{}, false
	}
	b = Buffer{r, r.borrowed, len(r.b)}
	r.latest.Store(r.borrowed)
	r.borrowed, r.detached = nil, true
	return b, true
}

// moveOn takes what is unread from a buffer that was given away to another one.
func (r *readBuffer) moveOn() {
	r.detached = false
	if len(r.unread()) > largeBuffer {
		b := make([]byte, len(r.b))
		r.end = copy(b, r.unread())
		r.start, r.b = 0, b
		return
	}
	r.borrow()
}

func (r *readBuffer) borrow() {
	borrowed := r.returned.Swap(nil)
	if borrowed == nil {
		borrowed = largeBuffers.Get().(*[largeBuffer]byte)
	}
	r.end = copy(borrowed[:], r.unread())
	r.start = 0
	r.borrowed, r.b = borrowed, borrowed[:]
}

// grow makes space in a buffer that is full with one packet: up to as much again, or as
// much as a packet before it has really filled, but not beyond the packet. The steps
// are halves of halves of the packet, so that the last does not come soon after the one
// before it: all of them together take twice the packet.
func (r *readBuffer) grow(size int) {
	next := size
	for next/2 >= len(r.b)+minStep {
		next = (next + 1) / 2
	}
	b := make([]byte, min(max(next, r.proven), size))
	r.proven /= 2 // until it is proven again
	r.end = copy(b, r.unread())
	r.start = 0
	r.giveBack()
	r.b = b
}

func (r *readBuffer) giveBack() {
	if r.borrowed != nil {
		largeBuffers.Put(r.borrowed)
		r.borrowed = nil
	}
	if b := r.returned.Swap(nil); b != nil {
		largeBuffers.Put(b)
	}
}

// release takes back a buffer that was detached. Anybody may call it. The buffer
// that was detached last may still hold what is unread, so it waits for the reader
// and no other connection gets it before.
func (r *readBuffer) release(b *[largeBuffer]byte) {
	if b == r.latest.Load() {
		b = r.returned.Swap(b)
	} else if r.returned.CompareAndSwap(nil, b) {
		return
	}
	if b != nil {
		largeBuffers.Put(b)
	}
}
