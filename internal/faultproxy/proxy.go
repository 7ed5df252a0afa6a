// Package faultproxy stands between a client and a server in tests and breaks
// their connections on purpose: after an exact number of bytes, after a random number,
// all at once, or by silence.
//
// Up is the direction from client to server, Down the way back. Every setting may be
// changed at any time and from any goroutine. A proxy and all its goroutines end with
// the test. A proxy that is made inside a testing/synctest bubble, on a
// [github.com/seed65a45251/mqtt/internal/pipe] listener, works in fake time.
package faultproxy

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
)

// Direction is a set of directions.
type Direction uint8

// The directions of a connection as the client sees it.
const (
	None Direction = 0
	Up   Direction = 1
	Down Direction = 2
	Both           = Up | Down
)

// DialFunc opens a connection to the server.
type DialFunc func(context.Context) (net.Conn, error)

// Proxy accepts connections and passes their bytes on, except where a fault is set.
type Proxy struct {
	t        testing.TB
	listener net.Listener
	dial     DialFunc
	running  sync.WaitGroup

	mu      sync.Mutex // guards everything below and the state of the links
	changed chan struct{}
	closing bool
	links   map[*link]struct{}
	faults  faults
	stats   Stats
}

// Stats are the counts of a proxy since it was made.
type Stats struct {
	Open     int   // connections that are open now
	Accepted int   // connections accepted, without the refused ones
	Refused  int   // connections closed at once because of Refuse
	Cut      int   // connections ended by CutAfter or RandomCuts
	Up, Down int64 // bytes handed to the server and to the client
}

// New returns a proxy on a free loopback port in front of the TCP address target.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	return NewDial(t, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", target)
	})
}

// NewDial is [New] for a server that dial reaches.
func NewDial(t testing.TB, dial DialFunc) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("faultproxy: %v", err)
	}
	return NewListener(t, listener, dial)
}

// NewListener is [NewDial] on a listener of the caller's, which the proxy owns from
// now on.
func NewListener(t testing.TB, listener net.Listener, dial DialFunc) *Proxy {
	p := &Proxy{t: t, listener: listener, dial: dial, links: map[*link]struct{}{}}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr returns the address that the proxy listens on, such as "127.0.0.1:54321".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL returns [Proxy.Addr] as an mqtt URL.
func (p *Proxy) URL() string { return "mqtt://" + p.Addr() }

// Stats returns the current counts.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Connections returns the number of connections that are open now.
func (p *Proxy) Connections() int { return p.Stats().Open }

// BytesUp returns the number of bytes handed to the server.
func (p *Proxy) BytesUp() int64 { return p.Stats().Up }

// BytesDown returns the number of bytes handed to the client.
func (p *Proxy) BytesDown() int64 { return p.Stats().Down }

// Wait returns when enough returns true. It calls enough with the counts whenever one
// of them changes. If ctx ends first, it returns an error. The function must not call
// the proxy.
func (p *Proxy) Wait(ctx context.Context, enough func(Stats) bool) error {
	for {
		p.mu.Lock()
		stats, changed := p.stats, p.watch()
		done := enough(stats)
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("faultproxy: waiting at %+v: %w", stats, context.Cause(ctx))
		}
	}
}

// WaitConnections waits until exactly n connections are open.
func (p *Proxy) WaitConnections(ctx context.Context, n int) error {
	return p.Wait(ctx, func(s Stats) bool { return s.Open == n })
}

// WaitAccepted waits until n connections have been accepted in all.
func (p *Proxy) WaitAccepted(ctx context.Context, n int) error {
	return p.Wait(ctx, func(s Stats) bool { return s.Accepted >= n })
}

// WaitBytes waits until at least that many bytes have been passed to the server and
// to the client.
func (p *Proxy) WaitBytes(ctx context.Context, up, down int64) error {
	return p.Wait(ctx, func(s Stats) bool { return s.Up >= up && s.Down >= down })
}

// watch returns a channel that the next change closes. The caller holds p.mu.
func (p *Proxy) watch() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// notify wakes all goroutines that wait. The caller holds p.mu and has changed a
// count. There is a channel only while a goroutine waits, so passing bytes on
// allocates nothing.
func (p *Proxy) notify() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if l := p.admit(client); l != nil {
			p.running.Go(l.run)
		} else {
			client.Close()
		}
	}
}

// admit returns the link for a new connection, or nil if the connection is to be
// closed.
func (p *Proxy) admit(client net.Conn) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.notify()
	if p.closing {
		return nil
	}
	if p.faults.refuse {
		p.stats.Refused++
		return nil
	}
	p.stats.Accepted++
	p.stats.Open++
	l := newLink(p, client, p.faults.nextCut())
	p.links[l] = struct{}{}
	return l
}

// close runs at the end of the test.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.listener.Close()
	p.Drop()
	p.running.Wait()
	if p.t.Failed() {
		p.t.Logf("faultproxy: %+v", p.Stats())
	}
}
