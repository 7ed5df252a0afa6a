package line

import (
	"net"
	"syscall"

	"github.com/seed65a45251/mqtt/internal/pipe"
)

// Arrived returns how many bytes have arrived until now, whether they were read or
// not, if that can be known. The end of what the peer sends may count as one.
func (c *Conn) Arrived() (bytes int64, known bool) {
	if c.taken < 0 {
		return 0, false
	}
	total, read := int64(0), c.received.Load()
	if c.memory != nil {
		total, _ = c.memory.Arrived()
	} else if total, known = arrived(c.Conn.(*net.TCPConn)); !known {
		return 0, false
	}
	// Less than what was read says somebody who does not count.
	return total - c.taken, total-c.taken >= read
}

// Asked returns how many bytes had been read when Read was last called. Whoever reads
// is through with those.
func (c *Conn) Asked() int64 { return c.asked.Load() }

// Received returns how many bytes have been read.
func (c *Conn) Received() int64 { return c.received.Load() }

// Unread returns how many bytes the operating system holds that nobody has read, if
// that can be known.
func (c *Conn) Unread() (bytes int, known bool) {
	for nc := c.Conn; ; {
		switch socket := nc.(type) {
		case syscall.Conn:
			return unread(socket)
		case interface{ NetConn() net.Conn }: // TLS of somebody else
			nc = socket.NetConn()
		default:
			return 0, false
		}
	}
}

// readBefore returns how many bytes somebody else has read from nc, an HTTP server for
// example; negative: nobody knows.
func readBefore(nc net.Conn) int64 {
	if memory, ok := nc.(*pipe.Conn); ok {
		bytes, left := memory.Arrived()
		return bytes - int64(left)
	}
	socket, ok := nc.(*net.TCPConn)
	if !ok {
		return -1
	}
	for range 3 {
		before, known := arrived(socket)
		if !known || before == 0 {
			return before
		}
		left, known := unread(socket)
		if !known {
			return -1
		}
		if after, _ := arrived(socket); after == before {
			return before - int64(left)
		}
	}
	return -1 // too much comes in
}
