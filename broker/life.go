package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// life is the state of a broker between New and its end.
type life struct {
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	born     time.Time
	routines sync.WaitGroup // connections, listeners and timers
	failure  error          // why the broker never began; nil: it did
	stopping atomic.Bool    // no client or listener is accepted any more; set under hub.mu
	closed   bool           // guarded by hub.mu
	drained  chan struct{}  // closed when Shutdown has waited long enough
	draining sync.Once      // closes it
}

func (l *life) begin() {
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.born = time.Now()
	l.drained = make(chan struct{})
}

// drains reports whether Shutdown has stopped waiting and ends the clients now.
func (l *life) drains() bool {
	select {
	case <-l.drained:
		return true
	default:
		return false
	}
}

// afterLocked calls f after d, unless stopTimer stops the timer first. Called with
// hub.mu held, while the broker is not closed.
func (l *life) afterLocked(d time.Duration, f func()) *time.Timer {
	l.routines.Add(1)
	return time.AfterFunc(d, func() {
		defer l.routines.Done()
		f()
	})
}

// stopTimer stops a timer of afterLocked. t may be nil.
func (l *life) stopTimer(t *time.Timer) {
	if t != nil && t.Stop() {
		l.routines.Done()
	}
}

// ended returns the error of the methods of a broker that has ended.
func (l *life) ended() error {
	if l.failure != nil {
		return l.failure
	}
	return ErrClosed
}
