package wire

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	firstBuffer = 64 // holds what an idle connection brings
	smallBuffer = 512
	largeBuffer = 64 << 10
	minStep     = 4 << 10
)

// largeBuffers holds large buffers that no reader is using.
var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// madeBuffers holds buffers that were made for a packet that did not fit in a large one and are free
// again, by the logarithm of their size. The garbage collector takes those that stay.
var madeBuffers [24]sync.Pool

// largestKept is the size of the largest buffer that is kept to be used again.
const largestKept = 1<<(len(madeBuffers)-1) - 1

// makeBuffer returns a buffer of n bytes, for a packet that does not fit in a large one. Whoever gets
// the packet may keep it, so one that is used again is at most an eighth larger.
func makeBuffer(n int) []byte {
	if n <= largestKept {
		kept, ok := madeBuffers[bits.Len(uint(n))].Get().(*[]byte)
		if ok && len(*kept) >= n && len(*kept) <= n+n/8 {
			return (*kept)[:n]
		}
	}
	return make([]byte, n)
}

// recycle keeps a buffer of makeBuffer for others.
func recycle(b []byte) {
	if b = b[:cap(b)]; len(b) <= largestKept {
		madeBuffers[bits.Len(uint(len(b)))].Put(&b)
	}
}

// readBuffer holds the bytes that were read and not taken yet. It uses its own small buffer, a
// borrowed large one, or one that was made for a packet that fits neither. Its own buffer has
// firstBuffer bytes until a read has filled it, and then smallBuffer.
type readBuffer struct {
	b          []byte // the buffer in use
	start, end int    // the unread bytes are b[start:end]
	lastRead   int    // bytes that the last read returned
	filled     bool   // the last read filled it

	small    []byte
	proven   int                // size of a large packet that has arrived completely not long ago
	borrowed *[largeBuffer]byte // nil unless b is it
	detached bool               // b was given away; only its unread bytes may still be copied

	returned atomic.Pointer[[largeBuffer]byte] // a released buffer, to be used next
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

// wrote says that the source has written n bytes into the result of space.
func (r *readBuffer) wrote(n int) {
	r.end += n
	r.lastRead, r.filled = n, r.end == len(r.b)
}

// space returns memory to read into. size is the size of the packet at the start of the unread bytes, or
// 0 if it is not known yet.
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

// reset starts at the front again when nothing is unread. It returns a large buffer that the last
// read did not need, and a buffer that was made for a packet.
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

// detach gives the buffer away if it is large.
func (r *readBuffer) detach() (b Buffer, ok bool) {
	if r.detached || len(r.b) < largeBuffer {
		return Buffer{}, false
	}
	b = Buffer{owner: r, pooled: r.borrowed, size: len(r.b)}
	if r.borrowed == nil && r.start == r.end {
		b.made = r.b
	}
	r.latest.Store(r.borrowed)
	r.borrowed, r.detached = nil, true
	return b, true
}

// moveOn copies the unread bytes from a buffer that was given away into another one.
func (r *readBuffer) moveOn() {
	r.detached = false
	if len(r.unread()) > largeBuffer {
		b := makeBuffer(len(r.b))
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

// grow makes space in a buffer that is full with one packet. It roughly doubles the buffer, or
// grows it to the size that an earlier packet has really filled, but never beyond the packet. The
// steps are repeated halves of the packet, so that the last step does not come soon after the one
// before it. All steps together allocate twice the packet.
func (r *readBuffer) grow(size int) {
	next := size
	for next/2 >= len(r.b)+minStep {
		next = (next + 1) / 2
	}
	b := makeBuffer(min(max(next, r.proven), size))
	r.proven /= 2 // until it is proven again
	r.end = copy(b, r.unread())
	r.start = 0
	r.giveBack()
	r.b = b
}

// giveBack returns the buffer in use to others, unless it is the reader's own. The caller then sets
// another one.
func (r *readBuffer) giveBack() {
	switch {
	case r.borrowed != nil:
		largeBuffers.Put(r.borrowed)
		r.borrowed = nil
	case len(r.b) > largeBuffer:
		recycle(r.b)
	}
	if b := r.returned.Swap(nil); b != nil {
		largeBuffers.Put(b)
	}
}

// release takes back a buffer that was detached. It is safe for concurrent use. The buffer that was
// detached last may still hold unread bytes, so it is kept for this reader and no other connection
// gets it.
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
