package pipe

import (
	"context"
	"errors"
	"net"
	"sync"
)

// ErrRefused is the error of Dial, inside a [net.OpError], if the listener is closed.
var ErrRefused = errors.New("connection refused")

// backlog is the number of connections that may wait to be accepted. As with an
// operating system, one goroutine can dial and then accept.
const backlog = 128

// Listener is a [net.Listener] in memory. Its methods are safe for concurrent
// use.
type Listener struct {
	buffer   int
	incoming chan *Conn
	closing  sync.Once
	closed   chan struct{}
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a listener whose connections buffer up to buffer bytes in each
// direction. Zero or less means [DefaultBuffer].
func Listen(buffer int) *Listener {
	return &Listener{
		buffer:   buffer,
		incoming: make(chan *Conn, backlog),
		closed:   make(chan struct{}),
	}
}

// Dial returns the client's end of a new connection. It waits, until ctx ends, only
// if the backlog is full.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", err)
	}
	if l.isClosed() {
		return nil, opError("dial", ErrRefused)
	}
	client, server := newPair(l.buffer)
	select {
	case l.incoming <- server:
	case <-ctx.Done():
		return nil, opError("dial", ctx.Err())
	case <-l.closed:
		return nil, opError("dial", ErrRefused)
	}
	// Close may have emptied the backlog just before the connection entered it.
	if l.isClosed() {
		l.abandon()
	}
	return client, nil
}

// Accept waits for the next connection. After Close it fails with
// [net.ErrClosed].
func (l *Listener) Accept() (net.Conn, error) {
	if l.isClosed() {
		return nil, opError("accept", net.ErrClosed)
	}
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, opError("accept", net.ErrClosed)
	}
}

// Close ends the listener and every connection that was not accepted. Accepted
// connections stay open.
func (l *Listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	l.abandon()
	return nil
}

// Addr returns [Addr].
func (l *Listener) Addr() net.Addr { return Addr{} }

func (l *Listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

func (l *Listener) abandon() {
	for {
		select {
		case c := <-l.incoming:
			c.Close()
		default:
			return
		}
	}
}
