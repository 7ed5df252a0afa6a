package transport

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/internal/line"
)

// attempt is how long one attempt to connect may take. It ends when nothing has moved for
// limit, on any connection made in the attempt, and at the latest after that time and
// what the bytes that have moved earn.
type attempt struct {
	limit time.Duration
	began time.Time

	mu    sync.Mutex // guards lines
	lines []*line.Conn
}

// attemptKey is where a context has its attempt.
type attemptKey struct{}

// WithTimeout returns the context of one attempt to connect. It ends because of cause
// when nothing has moved for limit on any connection that was dialled with it; a slow
// line has as much more time as its bytes earn.
func WithTimeout(ctx context.Context, limit time.Duration, cause error) (context.Context, context.CancelFunc) {
	p := &attempt{limit: limit, began: time.Now()}
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, attemptKey{}, p))
	var timer *time.Timer
	made := make(chan struct{})
	timer = time.AfterFunc(limit, func() {
		<-made
		if left := p.left(); left > 0 && ctx.Err() == nil {
			timer.Reset(left)
			return
		}
		cancel(cause)
	})
	close(made)
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// left returns how long to wait unless more moves.
func (p *attempt) left() time.Duration {
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
func watch(ctx context.Context, nc net.Conn) *line.Conn {
	l := line.New(nc)
	if p, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		p.mu.Lock()
		p.lines = append(p.lines, l)
		p.mu.Unlock()
	}
	return l
}
