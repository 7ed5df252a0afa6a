package broker

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/census"
	"github.com/seed65a45251/mqtt/wire"
)

// Serve accepts connections from ln, which it owns: TCP, TLS, a Unix socket or
// anything else that carries bytes in order. It ends when ctx ends, when the broker
// is closed, or when ln fails. It then closes ln and its connections and tells 5.0
// clients that the server is shutting down. Sessions stay. Serve returns when all
// that is done; the error is nil if it was asked to end.
//
// The error is [ErrOpen] if the broker has no authenticators and other machines can
// reach ln.
func (b *Broker) Serve(ctx context.Context, ln net.Listener) error {
	return b.serve(ctx, ln, b.accept)
}

// serve runs accept until ln is done, and then ends the connections of ln.
func (b *Broker) serve(ctx context.Context, ln net.Listener, accept func(context.Context, *listener) error) error {
	if b.cfg.open() && !isLocal(ln.Addr()) {
		ln.Close()
		return ErrOpen
	}
	l := &listener{Listener: ln}
	if !b.addListener(l) {
		ln.Close()
		return b.ended()
	}
	defer b.routines.Done()
	unwatch := context.AfterFunc(ctx, func() { ln.Close() })
	defer unwatch()

	err := accept(ctx, l)
	ln.Close()
	if b.stopping.Load() {
		<-b.drained
	}
	b.removeListener(l)
	b.endConns(l)
	if ctx.Err() != nil || b.stopping.Load() {
		return nil
	}
	return err
}

// acceptPause is how long to wait when the process has run out of files.
const acceptPause = 100 * time.Millisecond

func (b *Broker) accept(ctx context.Context, l *listener) error {
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			if c, err := b.admit(newConn(&b.hub, nc, l)); err == nil {
				go b.serveConn(c) // endConns waits for it
			}
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
			b.cfg.Logger.Warn("cannot accept", "error", err)
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

// ServeConn serves one connection, which it owns, until the connection has ended. It
// returns an error only if the connection was refused at once: [ErrClosed], [ErrOpen]
// or [ErrTooMany].
func (b *Broker) ServeConn(nc net.Conn) error {
	if b.cfg.open() && !isLocal(nc.LocalAddr()) {
		nc.Close()
		return ErrOpen
	}
	c, err := b.admit(newConn(&b.hub, nc, nil))
	if err != nil {
		return err
	}
	b.serveConn(c)
	return nil
}

// admit registers a new connection, or closes it. The caller must pass the connection
// that it returns to serveConn.
func (b *Broker) admit(c *conn) (*conn, error) {
	err := b.addConn(c)
	if err != nil {
		c.net.Close()
		return nil, err
	}
	return c, nil
}

// serveConn serves a connection that was admitted, until it is over.
func (b *Broker) serveConn(c *conn) {
	defer b.removeConn(c)
	c.run()
}

// start runs f in a goroutine that Close waits for.
func (b *Broker) start(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping.Load() {
		return false
	}
	b.routines.Go(f)
	return true
}

func (b *Broker) addListener(l *listener) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping.Load() {
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
	if b.stopping.Load() || c.listener != nil && c.listener.ended {
		b.mu.Unlock()
		return b.ended()
	}
	loser, admitted := b.doors.arrive(c, &c.standing, census.AddressOf(c.net.RemoteAddr()))
	if admitted {
		b.conns[c] = struct{}{}
		b.routines.Add(1)
	}
	b.mu.Unlock()
	if !admitted {
		b.counts.refused.Add(1)
		return ErrTooMany
	}
	if loser != nil {
		loser.Value.cut()
	}
	return nil
}

func (b *Broker) removeConn(c *conn) {
	b.doors.leave(&c.standing)
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

// endConns tells the clients of l, or all clients if l is nil, that the server stops,
// and returns when their connections have ended. The caller must have made new
// connections impossible.
func (b *Broker) endConns(l *listener) {
	conns := b.openConns(l)
	for _, c := range conns {
		c.leave(ending{reason: wire.ServerShuttingDown, tell: true, will: true})
	}
	if l == nil {
		b.cancel() // nothing needs the answer of a hook that still runs
	}
	for _, c := range conns {
		<-c.signals.gone
	}
}

// DropConnections cuts all connections without a DISCONNECT, as a crash or a broken
// network would. Sessions stay, and wills follow their rules. It returns when the
// connections have ended; do not call it from a hook.
func (b *Broker) DropConnections() {
	conns := b.openConns(nil)
	for _, c := range conns {
		c.cut()
	}
	for _, c := range conns {
		<-c.signals.gone
	}
}
