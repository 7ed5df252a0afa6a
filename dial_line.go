package mqtt

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/internal/line"
)

// endurance is that of one attempt to connect. It ends when nothing has moved for the
// connect timeout, on any connection made in the attempt, and at the latest after
// that time and what the bytes that have moved earn.
type endurance struct {
	limit time.Duration
	began time.Time

	mu    sync.Mutex // guards lines
	lines []*line.Conn
}

// enduranceKey is where a context has its endurance.
type enduranceKey struct{}

// enduring returns a context that ends with errConnectTimeout when the endurance of
// an attempt is at its end.
func enduring(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	p := &endurance{limit: limit, began: time.Now()}
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, enduranceKey{}, p))
	var timer *time.Timer
	made := make(chan struct{})
	timer = time.AfterFunc(limit, func() {
		<-made
		if left := p.left(); left > 0 && ctx.Err() == nil {
			timer.Reset(left)
			return
		}
		cancel(errConnectTimeout)
	})
	close(made)
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// left returns how long to wait unless more moves.
func (p *endurance) left() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, bytes := p.began, int64(0)
	for _, l := range p.lines {
		n, moved := l.Moved()
		bytes += n
		if moved.After(last) {
			last = moved
		}
	}
	still := time.Until(last.Add(p.limit))
	whole := time.Until(p.began.Add(p.limit + line.Earned(bytes)))
	return min(still, whole)
}

// watch makes what moves on nc count for the attempt in ctx.
func watch(ctx context.Context, nc net.Conn) net.Conn {
	l := line.New(nc)
	if p, ok := ctx.Value(enduranceKey{}).(*endurance); ok {
		p.mu.Lock()
		p.lines = append(p.lines, l)
		p.mu.Unlock()
	}
	return l
}

// cut closes nc at once. TLS would want to say something, and wait five seconds for
// that.
func cut(nc net.Conn, bottom *line.Conn) {
	bottom.Close()
	nc.Close()
}

// tunnel is a connection through a proxy, of which it says what is below.
type tunnel struct {
	net.Conn
	below net.Conn
}

// NetConn returns the connection to the proxy.
func (t *tunnel) NetConn() net.Conn { return t.below }
