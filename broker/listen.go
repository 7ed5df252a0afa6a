package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/internal/pipe"
)

// Listen listens and serves in the background until ctx or the broker ends. The
// network is one of [net.Listen], such as "tcp" or "unix", or "tls", "ws" or "wss",
// which are TCP with [Config.TLS], WebSocket, and both. It returns the address,
// which has the port that the system chose if address asks for port 0.
//
// The error is [ErrOpen] if the broker lets everybody in and the address can be
// reached from other machines.
func (b *Broker) Listen(ctx context.Context, network, address string) (net.Addr, error) {
	serve, socket := b.Serve, network
	var secure *tls.Config
	switch network {
	case "ws", "wss":
		serve, socket = b.ServeWebSocket, "tcp"
	case "tls":
		socket = "tcp"
	}
	if network == "tls" || network == "wss" {
		if b.cfg.TLS == nil {
			return nil, errors.New("mqtt: listen: Config.TLS is not set")
		}
		secure = b.cfg.TLS.Clone()
	}
	if network == "wss" {
		// HTTP/2 would lead nowhere.
		secure.NextProtos = []string{"http/1.1"}
	}
	return b.listen(ctx, socket, address, secure, serve)
}

func (b *Broker) listen(ctx context.Context, network, address string, secure *tls.Config, serve func(context.Context, net.Listener) error) (net.Addr, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	if b.cfg.open() && !isLocal(ln.Addr()) {
		ln.Close()
		return nil, ErrOpen
	}
	if secure != nil {
		ln = tls.NewListener(watchedListener{ln}, secure)
	}
	if !b.start(func() {
		if err := serve(ctx, ln); err != nil && !errors.Is(err, ErrClosed) {
			b.cfg.Logger.Error("listener failed", "address", ln.Addr().String(), "error", err)
		}
	}) {
		ln.Close()
		return nil, b.ended()
	}
	return ln.Addr(), nil
}

// watchedListener accepts connections with limits, which TLS then hides.
type watchedListener struct{ net.Listener }

func (l watchedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return line.New(nc), nil
}

// Dial returns the client's end of a new connection in memory; no listener is
// needed. It fits the custom dialer of a client's configuration. It does not
// wait.
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

// MemoryListener is a [net.Listener] inside the process: no port, no file, and
// usable in a testing/synctest bubble. Give it to [Broker.Serve], and clients the
// method Dial. Unlike [Broker.Dial] it refuses connections while nobody serves it,
// as a server would that is down.
type MemoryListener struct{ listener *pipe.Listener }

var _ net.Listener = (*MemoryListener)(nil)

// NewMemoryListener returns a listener that is ready for Dial. Its connections
// hold that many written bytes in each direction; zero means 64 KiB.
func NewMemoryListener(buffer int) *MemoryListener {
	return &MemoryListener{pipe.Listen(buffer)}
}

// Dial connects to the listener, whatever the network and the address. It has the
// shape of the custom dialer in the configuration of a client.
func (l *MemoryListener) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return l.listener.Dial(ctx)
}

// Accept waits for the next connection.
func (l *MemoryListener) Accept() (net.Conn, error) { return l.listener.Accept() }

// Close ends the listener. Connections that were accepted live on.
func (l *MemoryListener) Close() error { return l.listener.Close() }

// Addr returns an address that says "memory".
func (l *MemoryListener) Addr() net.Addr { return l.listener.Addr() }
