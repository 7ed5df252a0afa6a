//go:build !js

package transport

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"

	"github.com/coder/websocket"
)

// frameConn is the connection below a WebSocket. The library reads and writes
// 4 KiB at a time; frameConn makes that one call of the operating system per
// frame when writing, and one per 64 KiB when a lot arrives. It borrows memory
// for that and gives it back at the end of the frame or burst.
type frameConn struct {
	net.Conn
	open bool // the handshake is over; before, there is nothing to read

	// Of whoever reads; the library sees to it that it is one at a time.
	ahead []byte  // read and not yet taken
	block *[]byte // borrowed; ahead is part of it
	busy  bool    // the last read brought all it could
	ended bool    // the last read brought the end

	// Of whoever writes, likewise.
	frame  *[]byte // borrowed; the beginning of the frame under way
	rest   int     // how much of the frame is still to come
	closed atomic.Bool
}

func (f *frameConn) Read(b []byte) (int, error) {
	if !f.open {
		return 0, io.EOF
	}
	if len(f.ahead) == 0 {
		if !f.busy || len(b) >= maxChunk {
			n, err := f.read(b)
			f.busy = n == len(b)
			return n, err
		}
		f.block = blocks.Get().(*[]byte)
		n, err := f.read(*f.block)
		f.ahead = (*f.block)[:n]
		f.busy = n > len(b)
		if err != nil && n == 0 {
			f.giveBack()
			return 0, err
		}
	}
	n := copy(b, f.ahead)
	if f.ahead = f.ahead[n:]; len(f.ahead) == 0 {
		f.giveBack()
	}
	return n, nil
}

func (f *frameConn) giveBack() {
	f.ahead = nil
	if f.block != nil {
		blocks.Put(f.block)
		f.block = nil
	}
}

func (f *frameConn) read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	f.ended = err == io.EOF
	return n, err
}

// Write gathers the frame that b begins or continues, and writes it when it is
// whole.
func (f *frameConn) Write(b []byte) (int, error) {
	if f.closed.Load() {
		return len(b), nil // nothing may follow the close frame
	}
	if f.rest <= 0 {
		f.rest = frameSize(b)
	}
	f.rest -= len(b)
	if f.frame == nil && f.rest <= 0 {
		return f.Conn.Write(b)
	}
	if f.frame == nil {
		f.frame = blocks.Get().(*[]byte)
		*f.frame = (*f.frame)[:0]
	}
	*f.frame = append(*f.frame, b...)
	if f.rest > 0 {
		return len(b), nil
	}
	whole := f.frame
	f.frame = nil
	_, err := f.Conn.Write(*whole)
	*whole = (*whole)[:cap(*whole)]
	blocks.Put(whole)
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// frameSize returns the size of the masked frame whose header begins b.
func frameSize(b []byte) int {
	const mask = 4
	switch n := int(b[1] & 0x7f); {
	case n == 127:
		return 10 + mask + int(binary.BigEndian.Uint64(b[2:]))
	case n == 126:
		return 4 + mask + int(binary.BigEndian.Uint16(b[2:]))
	default:
		return 2 + mask + n
	}
}

// extraFrames writes a frame that did not come from the library, unless the close frame
// has been written.
type extraFrames struct{ f *frameConn }

func (w extraFrames) Write(frame []byte) (int, error) {
	if w.f.closed.Load() {
		return len(frame), nil
	}
	return w.f.Conn.Write(frame)
}

// closeFrame says that nothing follows, and why. The library can only do that
// and wait for the answer.
func (f *frameConn) closeFrame(code websocket.StatusCode) error {
	if f.closed.Swap(true) {
		return nil
	}
	frame := [8]byte{0x88, 0x82} // final, close; masked, two bytes
	rand.Read(frame[2:6])
	binary.BigEndian.PutUint16(frame[6:], uint16(code))
	frame[6] ^= frame[2]
	frame[7] ^= frame[3]
	_, err := f.Conn.Write(frame[:])
	return err
}
