package mqtt

import (
	"context"
	"sync"
	"time"
)

// workers are the goroutines behind the channels of Messages and Stream. None of them
// outlives the end of its queue by more than it takes to give back one message, so
// once the queues are cut they may be waited for.
type workers struct {
	mu     sync.Mutex
	wg     sync.WaitGroup
	closed bool
}

// start runs f unless the client has ended.
func (w *workers) start(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.wg.Go(f)
	return true
}

// stop lets no further ones begin and waits for those that run: with the queues cut
// they wait for nobody.
func (w *workers) stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wg.Wait()
}

// handlers counts the calls of Handle and Respond under way.
type handlers struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0; nil: nobody waits
}

func (h *handlers) add() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
}

func (h *handlers) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n--; h.n == 0 && h.idle != nil {
		close(h.idle)
		h.idle = nil
	}
}

// wait waits until no Handle is under way, at most for limit: it may be one of them
// that waits.
func (h *handlers) wait(ctx context.Context, limit time.Duration) {
	h.mu.Lock()
	if h.n == 0 {
		h.mu.Unlock()
		return
	}
	if h.idle == nil {
		h.idle = make(chan struct{})
	}
	idle := h.idle
	h.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	case <-ctx.Done():
	}
}
