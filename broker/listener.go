package broker

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// listener is one call of Serve.
type listener struct {
	net.Listener
	ended bool // guarded by Broker.mu; no connection enters any more
}

// Serve accepts connections from ln, which it owns: TCP, TLS, a Unix socket or
// anything else that carries bytes in order. It ends when ctx ends, with
// [Broker.Close], or when ln fails. Then ln and its connections are closed, 5.0
// clients being told that the server is shutting down; sessions stay. Only when
// all that is done Serve returns, with nil if it was asked to end.
func (b *Broker) Serve(ctx context.Context, ln net.Listener) error {
	l := &listener{Listener: ln}
	if !b.addListener(l) {
		ln.Close()
		return ErrClosed
	}
	defer b.routines.Done()
	unwatch := context.AfterFunc(ctx, func() { ln.Close() })
	defer unwatch()

	var conns sync.WaitGroup
	err := b.accept(ctx, l, &conns)
	ln.Close()
	b.removeListener(l)
	b.endConns(l)
	conns.Wait()
	if ctx.Err() != nil || b.ctx.Err() != nil {
		return nil
	}
	return err
}

// acceptPause is how long to wait when the process has run out of files.
const acceptPause = 100 * time.Millisecond

func (b *Broker) accept(ctx context.Context, l *listener, conns *sync.WaitGroup) error {
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			if c, err := b.admit(nc, l); err == nil {
				conns.Go(c.serve)
			}
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
			b.cfg.Logger.Warn("can not accept", "error", err)
			select {
			case <-ctx.Done():
			case <-b.ctx.Done():
			case <-time.After(acceptPause):
			}
		default:
			return err
		}
	}
}

// Listen listens as [net.Listen] does and serves in the background until ctx or
// the broker ends. It returns the address, which has the port that the system
// chose if address asks for port 0.
func (b *Broker) Listen(ctx context.Context, network, address string) (net.Addr, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if !b.start(func() {
		if err := b.Serve(ctx, ln); err != nil && !errors.Is(err, ErrClosed) {
			b.cfg.Logger.Error("listener failed", "address", ln.Addr().String(), "error", err)
		}
	}) {
		ln.Close()
		return nil, ErrClosed
	}
	return ln.Addr(), nil
}

// Dial returns the client's end of a new connection in memory; no listener is
// needed. It fits the custom dialer of a client's configuration. It does not
// wait.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	near, far := pipe.New(0)
	c, err := b.admit(far, nil)
	if err != nil {
		return nil, err
	}
	go c.serve() // Close waits for it: admit has counted it
	return near, nil
}

// ServeConn serves one connection, which it owns, and returns when it is over.
func (b *Broker) ServeConn(nc net.Conn) {
	if c, err := b.admit(nc, nil); err == nil {
		c.serve()
	}
}

// errTooMany says that Config.Connections is reached.
var errTooMany = errors.New("mqtt: broker has too many connections")

// admit counts a new connection in, or closes it. Whoever gets one calls serve.
func (b *Broker) admit(nc net.Conn, l *listener) (*conn, error) {
	c := newConn(b, nc, l)
	err := b.addConn(c)
	if err != nil {
		nc.Close()
	}
	return c, err
}

func (c *conn) serve() {
	defer c.b.removeConn(c)
	c.run()
}

// start runs f in a goroutine that Close waits for.
func (b *Broker) start(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.routines.Go(f)
	return true
}

func (b *Broker) addListener(l *listener) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.listeners[l] = struct{}{}
	b.routines.Add(1)
	return true
}

func (b *Broker) removeListener(l *listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.ended = true
	delete(b.listeners, l)
}

func (b *Broker) openListeners() []*listener {
	b.mu.RLock()
	defer b.mu.RUnlock()
	open := make([]*listener, 0, len(b.listeners))
	for l := range b.listeners {
		open = append(open, l)
	}
	return open
}

func (b *Broker) addConn(c *conn) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || c.listener != nil && c.listener.ended {
		return ErrClosed
	}
	if len(b.conns) >= b.cfg.Connections {
		b.counts.refused.Add(1)
		return errTooMany
	}
	b.conns[c] = struct{}{}
	b.routines.Add(1)
	return nil
}

func (b *Broker) removeConn(c *conn) {
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
	close(c.signals.gone)
	b.routines.Done()
}

// openConns returns the connections of l, or all if l is nil.
func (b *Broker) openConns(l *listener) []*conn {
	b.mu.RLock()
	defer b.mu.RUnlock()
	open := make([]*conn, 0, len(b.conns))
	for c := range b.conns {
		if l == nil || c.listener == l {
			open = append(open, c)
		}
	}
	return open
}

// endConns tells the clients of l, or all if l is nil, that the server stops.
func (b *Broker) endConns(l *listener) {
	for _, c := range b.openConns(l) {
		b.leave(c, ending{reason: wire.ServerShuttingDown, tell: true, will: true})
	}
}
