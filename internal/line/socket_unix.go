//go:build unix

package line

import (
	"io"
	"net"
	"os"
	"syscall"
)

// socket is a connection of the operating system that does not only wait. It tells its
// reader when it is about to: when a read has found nothing. What the reader has put
// off until there is time for it is done then. And it writes what there is space for,
// for those who must not wait.
type socket struct {
	nc    net.Conn
	raw   syscall.RawConn
	waits func()

	// Of the read under way.
	buf []byte
	n   int
	err error
	try func(fd uintptr) bool // is attempt, bound once
	now bool                  // it may not wait

	// Of the write under way.
	out   []byte
	sent  int
	write func(fd uintptr) // is push, bound once
}

// socketOf returns nil if nc is no socket.
func socketOf(nc net.Conn, waits func()) *socket {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil // it may do more than read when it reads
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{nc: nc, raw: raw, waits: waits}
	s.try, s.write = s.attempt, s.push
	return s
}

func (s *socket) read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.buf = b
	err := s.raw.Read(s.try)
	s.buf = nil
	switch {
	case err != nil:
		return 0, err
	case s.err == syscall.EAGAIN:
		return 0, ErrNothing
	case s.err != nil:
		return 0, s.readError()
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// tryRead is read without waiting.
func (s *socket) tryRead(b []byte) (int, error) {
	s.now = true
	n, err := s.read(b)
	s.now = false
	return n, err
}

// readError is the error of a read as package net would word it.
func (s *socket) readError() error {
	return &net.OpError{Op: "read", Net: s.nc.LocalAddr().Network(), Source: s.nc.LocalAddr(), Addr: s.nc.RemoteAddr(), Err: os.NewSyscallError("read", s.err)}
}

// attempt reads without waiting, and reports whether that is all.
func (s *socket) attempt(fd uintptr) bool {
	for {
		s.n, s.err = syscall.Read(int(fd), s.buf)
		switch s.err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			if s.now {
				return true
			}
			s.waits()
			return false
		}
		return true
	}
}

func (s *socket) tryWrite(b []byte) int {
	s.out, s.sent = b, 0
	s.raw.Control(s.write) // its error means that the socket is closed
	s.out = nil
	return s.sent
}

func (s *socket) push(fd uintptr) {
	for {
		n, err := syscall.Write(int(fd), s.out)
		if err == syscall.EINTR {
			continue
		}
		s.sent = max(n, 0)
		return
	}
}
