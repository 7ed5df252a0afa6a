package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/seed65a45251/mqtt/internal/line"
)

// Listen listens on address and serves in the background until ctx or the broker
// ends. The network is one of [net.Listen], such as "tcp" or "unix", or "tls" (TCP
// with [Config.TLS]), "ws" (WebSocket) or "wss" (WebSocket with TLS). It returns the
// address that it listens on; if address asks for port 0, it has the port that the
// system chose.
//
// The error is [ErrOpen] if the broker has no authenticators and other machines can
// reach the address.
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
		// MQTT over WebSocket needs HTTP/1.1.
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

// watchedListener makes accepted connections enforce limits below TLS.
type watchedListener struct{ net.Listener }

func (l watchedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return line.New(nc), nil
}

// isLocal reports whether only programs on this machine can reach addr.
func isLocal(addr net.Addr) bool {
	switch addr := addr.(type) {
	case nil:
		return false
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	}
	switch addr.Network() {
	case "unix", "memory", "pipe":
		return true
	}
	return false
}
