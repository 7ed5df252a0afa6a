package faultproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pieceSize is how much a link reads at once in each direction.
const pieceSize = 64 << 10

// ticks is how often in a second a link with a limited rate passes bytes on.
const ticks = 20

// link is a client's connection together with its connection to the server.
type link struct {
	proxy  *Proxy
	client net.Conn
	ctx    context.Context // ends with the link
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing of the link runs any more

	// Guarded by proxy.mu.
	server  net.Conn // nil until dialled
	ended   bool
	reset   bool      // it ended with a reset
	cut     cut       // the remaining bytes of its cut
	wasCut  bool      // counted; both directions may reach their cut at once
	writing Direction // directions with a Write under way
}

func newLink(p *Proxy, client net.Conn, c cut) *link {
	ctx, cancel := context.WithCancel(context.Background())
	return &link{proxy: p, client: client, ctx: ctx, cancel: cancel, done: make(chan struct{}), cut: c}
}

func (l *link) run() {
	defer close(l.done)
	server, err := l.proxy.dial(l.ctx)
	if err != nil {
		l.end(false) // no reset, which could already fail the client's dial
		return
	}
	if !l.attach(server) {
		return
	}
	var directions sync.WaitGroup
	directions.Go(func() { l.copy(Up, l.client, server) })
	directions.Go(func() { l.copy(Down, server, l.client) })
	directions.Wait()
	l.end(false)
}

// attach stores the server's connection. If the link has ended meanwhile, it closes
// the connection and returns false.
func (l *link) attach(server net.Conn) bool {
	l.proxy.mu.Lock()
	if l.ended {
		reset := l.reset
		l.proxy.mu.Unlock()
		linger(server, reset)
		server.Close()
		return false
	}
	l.server = server
	cutNow := l.cut.how != silently && (l.cut.up == 0 || l.cut.down == 0)
	l.proxy.mu.Unlock()
	if cutNow {
		l.endCut()
	}
	return true
}

// copy carries one direction until it or the link ends.
func (l *link) copy(dir Direction, src, dst net.Conn) {
	piece := make([]byte, pieceSize)
	for {
		n, err := src.Read(piece)
		if n > 0 && !l.forward(dir, dst, piece[:n]) {
			return
		}
		if err == nil {
			continue
		}
		// In a black hole the end of a connection gets lost, too.
		if _, ok := l.enter(dir, 0); !ok {
			return
		}
		half, ok := dst.(interface{ CloseWrite() error })
		if err == io.EOF && ok {
			_ = half.CloseWrite()
			l.leave(dir, 0)
			return
		}
		l.leave(dir, 0)
		l.end(err != io.EOF)
		return
	}
}

// forward passes b on, subject to the faults that are set, and reports whether the
// link continues.
func (l *link) forward(dir Direction, dst net.Conn, b []byte) bool {
	l.proxy.mu.Lock()
	delay, hold := l.proxy.faults.latency(), l.proxy.faults.hold
	l.proxy.mu.Unlock()
	if delay > 0 && !l.pause(delay) {
		return false
	}
	if hold != nil && dir == Down {
		if err := hold(l.ctx); err != nil {
			l.end(true)
			return false
		}
	}
	for len(b) > 0 {
		n, ok := l.throttle(len(b))
		if !ok {
			return false
		}
		if n, ok = l.enter(dir, n); !ok {
			return false
		}
		n, err := dst.Write(b[:n])
		b = b[n:]
		if l.leave(dir, n) {
			l.endCut()
			return false
		}
		// A black hole interrupts a Write with a deadline. The rest waits in enter.
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			l.end(true)
			return false
		}
	}
	return true
}

// throttle waits as long as the next bytes, of n that are there, take at the rate that
// is set. It returns how many these are, and false if the link has ended.
func (l *link) throttle(n int) (int, bool) {
	l.proxy.mu.Lock()
	rate := l.proxy.faults.rate
	l.proxy.mu.Unlock()
	if rate <= 0 {
		return n, true
	}
	n = min(n, max(rate/ticks, 1))
	return n, l.pause(time.Duration(n) * time.Second / time.Duration(rate))
}

func (l *link) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// enter waits until the direction is open and reserves it for a Write of up to n
// bytes. It returns how many bytes may be written before the cut, and false if the
// link has ended. After true the caller must call leave.
func (l *link) enter(dir Direction, n int) (int, bool) {
	p := l.proxy
	for {
		p.mu.Lock()
		if l.ended {
			p.mu.Unlock()
			return 0, false
		}
		left := *l.left(dir)
		silent := l.cut.how == silently && left == 0
		if p.faults.blackhole&dir == 0 && !silent {
			l.writing |= dir
			if left >= 0 {
				n = int(min(left, int64(n)))
			}
			p.mu.Unlock()
			return n, true
		}
		changed := p.watch()
		p.mu.Unlock()
		<-changed
	}
}

// leave records that n bytes were written, and reports whether the connection is to
// be cut here.
func (l *link) leave(dir Direction, n int) bool {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.notify()
	l.writing &^= dir
	if dir == Up {
		p.stats.Up += int64(n)
	} else {
		p.stats.Down += int64(n)
	}
	left := l.left(dir)
	if *left < 0 || n == 0 {
		return false
	}
	*left -= int64(n)
	return *left == 0 && l.cut.how != silently
}

func (l *link) left(dir Direction) *int64 {
	if dir == Up {
		return &l.cut.up
	}
	return &l.cut.down
}

// interrupt ends a Write under way in a direction that has just been closed, and
// returns when the Write has ended.
func (l *link) interrupt(dir Direction) {
	p := l.proxy
	p.mu.Lock()
	dst := l.client
	if dir == Up {
		dst = l.server
	}
	p.mu.Unlock()
	if dst == nil {
		return
	}
	_ = dst.SetWriteDeadline(time.Unix(1, 0))
	for {
		p.mu.Lock()
		over := l.ended || l.writing&dir == 0
		changed := p.watch()
		p.mu.Unlock()
		if over {
			break
		}
		<-changed
	}
	_ = dst.SetWriteDeadline(time.Time{})
}

func (l *link) endCut() {
	l.proxy.mu.Lock()
	reset := l.cut.how == byReset
	if !l.ended && !l.wasCut {
		l.wasCut = true
		l.proxy.stats.Cut++
	}
	l.proxy.mu.Unlock()
	l.end(reset)
}

// end closes both connections, once. It does not wait for the goroutines that run
// pump, because they call it themselves.
func (l *link) end(reset bool) {
	p := l.proxy
	p.mu.Lock()
	if l.ended {
		p.mu.Unlock()
		return
	}
	l.ended, l.reset = true, reset
	server := l.server
	delete(p.links, l)
	p.stats.Open--
	p.notify()
	p.mu.Unlock()

	// This comes first, because the goroutines that are woken close the connections,
	// too.
	linger(l.client, reset)
	linger(server, reset)
	l.cancel()
	l.client.Close()
	if server != nil {
		server.Close()
	}
}

// linger makes the close of c, which may be nil, a reset.
func linger(c net.Conn, reset bool) {
	if lingerer, ok := c.(interface{ SetLinger(int) error }); ok && reset {
		_ = lingerer.SetLinger(0)
	}
}
