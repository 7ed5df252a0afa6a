package broker

import (
	"github.com/seed65a45251/mqtt/wire"
)

// What has arrived of a packet lies in memory until the rest comes. One packet may be
// large, so all of them together are bounded, and each user and address has its share:
// a connection for which there is no space ends.
const (
	// idleBuffer is what a connection may use to read without counting, and freeBuffer
	// what a client may.
	idleBuffer = 4 << 10
	freeBuffer = 64 << 10
	// bulkyMaximum is how many connections may use more than idleBuffer before they are
	// clients. As with silent ones, the longest of the busiest address gives way.
	bulkyMaximum = 512
	// connectsMaximum bounds the bytes beyond freeBuffer of all of those.
	connectsMaximum = 32 << 20
	// packetsMaximum is how many packets of the maximum size clients may have begun.
	packetsMaximum = 16
	packetsMinimum = 64 << 20 // bytes
)

// bulk is a connection whose unfinished packets are counted.
type bulk interface {
	fill(p []byte) (int, error) // reads what has arrived
	begun() int                 // bytes of a packet that is not whole
	bulky()                     // CONNECT needs a large buffer
	quota(client bool) *quota
	holderName() string // in whose share the bytes are
}

// intake is what a connection reads from. It belongs to the reader.
type intake struct {
	from    bulk
	inside  bool    // it is a client
	share   *holder // nil: nothing has counted yet
	charged int
}

// Read reads and counts.
func (r *intake) Read(p []byte) (int, error) {
	if err := r.account(len(p)); err != nil {
		return 0, err
	}
	return r.from.fill(p)
}

// account counts a buffer with space for so many more bytes. It is only held while a
// packet is not whole.
func (r *intake) account(space int) error {
	size := 0
	if begun := r.from.begun(); begun > 0 {
		size = begun + space
	}
	if !r.inside && size > idleBuffer {
		r.from.bulky()
	}
	size = max(size-freeBuffer, 0)
	switch {
	case size < r.charged:
		r.share.give(r.charged - size)
	case size > r.charged:
		if r.share == nil {
			r.share = r.from.quota(r.inside).join(r.from.holderName())
		}
		if !r.share.take(size - r.charged) {
			return &refusal{code: wire.QuotaExceeded, text: "too many large packets at a time"}
		}
	}
	r.charged = size
	return nil
}

// enter is the end of CONNECT: from now on the packets of a client count.
func (r *intake) enter() {
	r.end()
	r.inside = true
}

// end gives back what has counted.
func (r *intake) end() {
	if r.share != nil {
		r.share.give(r.charged)
		r.share.leave()
	}
	r.share, r.charged = nil, 0
}
