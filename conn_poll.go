//go:build unix

package mqtt

import (
	"io"
	"net"
	"os"
	"syscall"
)

// pollConn is a socket that does not only wait. It tells its reader when it is
// about to: when a read has found nothing. What the reader has put off until there is
// time for it is done then. And it writes what there is room for, for those who must
// not wait.
type pollConn struct {
	net.Conn
	raw   syscall.RawConn
	waits func() // nil: nobody wants to know

	// Of the read under way.
	buf []byte
	n   int
	err error
	try func(fd uintptr) bool // is attempt, bound once

	// Of the write under way.
	out   []byte
	sent  int
	write func(fd uintptr) // is push, bound once
}

// polled wraps nc, which is the connection to the server below TLS and WebSocket,
// if it is a socket. Otherwise nothing can be told.
func polled(nc net.Conn) (net.Conn, *pollConn) {
	socket, ok := nc.(interface {
		net.Conn
		syscall.Conn
	})
	if !ok {
		return nc, nil
	}
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nc, nil // it may do more than read when it reads
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nc, nil
	}
	p := &pollConn{Conn: nc, raw: raw}
	p.try, p.write = p.attempt, p.push
	return p, p
}

func (p *pollConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.buf = b
	err := p.raw.Read(p.try)
	p.buf = nil
	switch {
	case err != nil:
		return 0, err
	case p.err != nil:
		return 0, &net.OpError{Op: "read", Net: p.LocalAddr().Network(), Source: p.LocalAddr(), Addr: p.RemoteAddr(), Err: os.NewSyscallError("read", p.err)}
	case p.n == 0:
		return 0, io.EOF
	}
	return p.n, nil
}

// attempt reads without waiting, and reports whether that is all.
func (p *pollConn) attempt(fd uintptr) bool {
	for {
		p.n, p.err = syscall.Read(int(fd), p.buf)
		switch p.err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			if p.waits != nil {
				p.waits()
			}
			return false
		}
		return true
	}
}

// tryWrite writes as much of b as there is room for, without waiting, and returns how
// much that was. Errors are left to the next Write. It must not be called together
// with itself or Write.
func (p *pollConn) tryWrite(b []byte) int {
	p.out, p.sent = b, 0
	p.raw.Control(p.write) // its error means that the socket is closed
	p.out = nil
	return p.sent
}

func (p *pollConn) push(fd uintptr) {
	for {
		n, err := syscall.Write(int(fd), p.out)
		if err == syscall.EINTR {
			continue
		}
		p.sent = max(n, 0)
		return
	}
}

// CloseWrite closes the sending side.
func (p *pollConn) CloseWrite() error {
	return p.Conn.(interface{ CloseWrite() error }).CloseWrite()
}
