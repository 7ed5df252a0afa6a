package transport

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"
)

// secureConn is a TLS connection that passes the records of one Write on in few pieces.
// crypto/tls would write each by itself, of 16 KiB, and of hardly more than 1 KiB as long
// as the connection is young.
type secureConn struct {
	*tls.Conn
	records *records
}

// blocks are lent to connections that have something to do.
var blocks = sync.Pool{New: func() any { return new(make([]byte, 64<<10)) }}

const (
	// aloneSize is up to which size a Write makes one record, even on a young connection.
	aloneSize = 1 << 10
	// gatheredSize is how much one piece takes of a Write: with what TLS adds it fits in
	// one of blocks.
	gatheredSize = 48 << 10
)

// Write writes b. After an error it returns how much of b is in records that were written
// as a whole; more may have arrived of it. Nothing can be written after that.
func (c *secureConn) Write(b []byte) (written int, err error) {
	if len(b) <= aloneSize {
		return c.Conn.Write(b)
	}
	for err == nil && len(b) > 0 {
		piece := b[:min(len(b), gatheredSize)]
		b = b[len(piece):]
		var n int
		n, err = c.writePiece(piece)
		written += n
	}
	return written, err
}

func (c *secureConn) writePiece(b []byte) (int, error) {
	if !c.records.gather() {
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(b)
	if sent, failed := c.records.flush(n); failed != nil {
		return sent, failed
	}
	return n, err
}

// records is the connection below TLS, to which TLS writes records. Like any net.Conn it
// may be written to at the same time as it is read: a reader writes answers to what the
// other side wants of TLS. crypto/tls makes and writes one record at a time, and their
// order must not change.
type records struct {
	net.Conn
	heard bool // something was read

	mu       sync.Mutex
	block    *[]byte // borrowed, for gathered; nil: records are written at once
	gathered []byte  // to be written by flush
	failed   error   // of a flush: what comes after that would be out of order
}

// Read notes whether anything was read.
func (r *records) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.heard = r.heard || n > 0
	return n, err
}

// Write writes a record, or leaves it to the goroutine that gathers.
func (r *records) Write(b []byte) (int, error) {
	r.mu.Lock()
	if r.failed != nil {
		defer r.mu.Unlock()
		return 0, r.failed
	}
	if r.block != nil {
		defer r.mu.Unlock()
		r.gathered = append(r.gathered, b...)
		return len(b), nil
	}
	r.mu.Unlock()
	return r.Conn.Write(b)
}

// gather makes the records that are written from now on wait for flush, and reports true.
// If a goroutine gathers already, it reports false.
func (r *records) gather() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.block != nil {
		return false
	}
	r.block = blocks.Get().(*[]byte)
	r.gathered = (*r.block)[:0]
	return true
}

// flush writes what was gathered, and what is added meanwhile. The first size bytes that TLS
// was given since gather are in it. If that fails, flush returns how many of them are in
// records that were written as a whole.
func (r *records) flush(size int) (sent int, err error) {
	first := true
	for b := r.next(nil); len(b) > 0; b = r.next(err) {
		var n int
		if n, err = r.Conn.Write(b); err != nil && first {
			sent = payload(b, n, size)
		}
		first = false
	}
	return sent, err
}

// next returns what to write. If there is nothing, or the last write has failed, the
// gathering ends.
func (r *records) next(failed error) (b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = failed
	if b, r.gathered = r.gathered, nil; len(b) > 0 && failed == nil {
		return b
	}
	blocks.Put(r.block)
	r.block = nil
	return nil
}

// payload returns how many bytes of a payload of size, of which the records in b are made,
// are in those that end in b[:n]. What TLS adds is taken to be the same for all of them, as
// it is with today's ciphers.
func payload(b []byte, n, size int) int {
	const header = 5
	count, whole, bytes := 0, 0, 0
	for end := 0; len(b)-end >= header; count++ {
		end += header + int(binary.BigEndian.Uint16(b[end+3:]))
		if end <= n {
			whole, bytes = whole+1, end
		}
	}
	if count == 0 {
		return 0
	}
	return max(0, bytes-whole*((len(b)-size)/count))
}
