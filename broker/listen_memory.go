package broker

import (
	"context"
	"net"

	"github.com/seed65a45251/mqtt/internal/pipe"
)

// Dial returns the client's end of a new connection in memory. It needs no listener
// and does not wait. Its shape fits the custom dialer of a client's configuration.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	near, far := pipe.New(0)
	c, err := b.admit(newConn(&b.hub, far, nil))
	if err != nil {
		return nil, err
	}
	go b.serveConn(c) // Close waits for it: admit has counted it
	return near, nil
}

// MemoryListener is a [net.Listener] inside the process. It needs no port and no
// file, and works in a testing/synctest bubble. Pass it to [Broker.Serve], and pass
// its method Dial to clients. Unlike [Broker.Dial] it refuses connections while it is
// not served, like a server that is down.
type MemoryListener struct{ listener *pipe.Listener }

// NewMemoryListener returns a listener that is ready for Dial. Each connection
// buffers up to that many bytes in each direction. Zero means 64 KiB.
func NewMemoryListener(buffer int) *MemoryListener {
	return &MemoryListener{pipe.Listen(buffer)}
}

// Dial connects to the listener and ignores the network and the address. It has the
// shape of the custom dialer in a client's configuration.
func (l *MemoryListener) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return l.listener.Dial(ctx)
}

// Accept waits for the next connection.
func (l *MemoryListener) Accept() (net.Conn, error) { return l.listener.Accept() }

// Close ends the listener. Connections that were accepted stay open.
func (l *MemoryListener) Close() error { return l.listener.Close() }

// Addr returns an address whose text is "memory".
func (l *MemoryListener) Addr() net.Addr { return l.listener.Addr() }

var _ net.Listener = (*MemoryListener)(nil)
