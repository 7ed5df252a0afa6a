//go:build !unix

package mqtt

import "net"

// pollConn exists only where sockets can be read and written without waiting.
type pollConn struct {
	net.Conn
	waits func()
}

func polled(nc net.Conn) (net.Conn, *pollConn) { return nc, nil }

func (p *pollConn) tryWrite([]byte) int { return 0 }
