//go:build !unix

package line

import "net"

// socket exists only where sockets can be read and written without waiting.
type socket struct{}

func socketOf(net.Conn, func()) *socket { return nil }

func (s *socket) read([]byte) (int, error)    { return 0, net.ErrClosed }
func (s *socket) tryRead([]byte) (int, error) { return 0, net.ErrClosed }
func (s *socket) tryWrite([]byte) int         { return 0 }
