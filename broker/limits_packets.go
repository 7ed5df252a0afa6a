package broker

import (
	"github.com/seed65a45251/mqtt/wire"
)

// The beginning of a packet lies in memory until the rest arrives. One packet may be
// large, so all of them together are bounded, and each user and address has a share. A
// connection for which there is no space ends.
const (
	// idleBuffer is how much a connection may buffer before it counts as bulky.
	// freeBuffer is how much a client may buffer without charge.
	idleBuffer = 4 << 10
	freeBuffer = 64 << 10
	// bulkyMaximum is how many connections may buffer more than idleBuffer before they
	// are clients. Beyond that the one that has waited longest, of the address with
	// most of them, is cut.
	bulkyMaximum = 512
	// connectsMaximum bounds the bytes beyond freeBuffer of all connections that are
	// not clients yet.
	connectsMaximum = 32 << 20
	// packetsMaximum times the maximum packet size bounds the bytes of unfinished
	// packets of all clients.
	packetsMaximum = 16
	packetsMinimum = 64 << 20 // bytes
)

// bulk is the connection whose unfinished packets an intake counts.
type bulk interface {
	fill(p []byte) (int, error) // reads what has arrived
	begun() int                 // returns how many bytes of an unfinished packet there are
	bulky()                     // says that CONNECT needs a large buffer
	quota(client bool) *quota
	holderName() string // the name of the holder that the bytes are charged to
}

// intake is the reader's source. It counts the bytes of unfinished packets. It
// belongs to the reader.
type intake struct {
	from    bulk
	inside  bool    // the connection is a client
	share   *holder // nil: nothing has been charged yet
	charged int
}

// Read charges the buffer p and then reads.
func (r *intake) Read(p []byte) (int, error) {
	if err := r.account(len(p)); err != nil {
		return 0, err
	}
	return r.from.fill(p)
}

// account charges a buffer with space for that many more bytes. Only the buffer of an
// unfinished packet counts.
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

// enter says that the client was let in: its packets count in the quota of clients
// from now on.
func (r *intake) enter() {
	r.end()
	r.inside = true
}

// end returns what was charged.
func (r *intake) end() {
	if r.share != nil {
		r.share.give(r.charged)
		r.share.leave()
	}
	r.share, r.charged = nil, 0
}
