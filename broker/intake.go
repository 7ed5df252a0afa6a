package broker

import (
	"github.com/seed65a45251/mqtt/broker/internal/census"
	"github.com/seed65a45251/mqtt/wire"
)

// What has arrived of a packet lies in memory until the rest comes. One packet may be
// large, so all of them together are bounded, and each user and address has its share:
// a connection for which there is no room ends.
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

// intake is what a connection reads from. It belongs to the reader.
type intake struct {
	conn    *conn
	inside  bool    // it is a client
	share   *holder // nil: nothing has counted yet
	charged int
}

// Read reads and counts.
func (r *intake) Read(p []byte) (int, error) {
	if err := r.account(len(p)); err != nil {
		return 0, err
	}
	n, err := r.conn.net.Read(p)
	r.conn.b.counts.bytesReceived.Add(uint64(n))
	return n, err
}

// account counts a buffer with room for so many more bytes. It is only held while a
// packet is not whole.
func (r *intake) account(room int) error {
	size := 0
	if begun := len(r.conn.reader.Buffered()); begun > 0 {
		size = begun + room
	}
	if !r.inside && size > idleBuffer {
		r.conn.bulky()
	}
	size = max(size-freeBuffer, 0)
	switch {
	case size < r.charged:
		r.share.give(r.charged - size)
	case size > r.charged:
		if r.share == nil {
			r.share = r.quota().join(r.conn.holderName())
		}
		if !r.share.take(size - r.charged) {
			return &refusal{code: wire.QuotaExceeded, text: "too many large packets at a time"}
		}
	}
	r.charged = size
	return nil
}

func (r *intake) quota() *quota {
	if r.inside {
		return r.conn.b.packets
	}
	return r.conn.b.connects
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

// holderName returns in whose share the connection's bytes are.
func (c *conn) holderName() string {
	if c.peer == nil {
		return census.AddressOf(c.net.RemoteAddr()).String()
	}
	return c.tenant()
}

// bulky says that CONNECT needs a large buffer.
func (c *conn) bulky() {
	c.b.doors.bulk(c, &c.standing, census.AddressOf(c.net.RemoteAddr()))
}
