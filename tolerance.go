package mqtt

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/wire"
)

// tolerance collects the mistakes of servers that were passed over because they harm
// no message (docs/tolerance.md lists them), to be logged once each. They are found
// under engine.mu and on the goroutine of the reader; its lock is a leaf.
type tolerance struct {
	logger  *slog.Logger
	pending atomic.Bool
	mu      sync.Mutex
	seen    map[string]bool
	fresh   []*wire.Error
}

// maxTolerated bounds how many kinds of mistakes are told apart.
const maxTolerated = 64

// note is what the engine, the decoder and the reader call.
func (t *tolerance) note(fault *wire.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := fault.Error()
	if t.seen[key] || len(t.seen) >= maxTolerated {
		return
	}
	if t.seen == nil {
		t.seen = make(map[string]bool)
	}
	t.seen[key] = true
	t.fresh = append(t.fresh, fault)
	t.pending.Store(true)
}

// report logs what was passed over. No lock is held.
func (t *tolerance) report() {
	if !t.pending.Load() {
		return
	}
	t.mu.Lock()
	fresh := t.fresh
	t.fresh = nil
	t.pending.Store(false)
	t.mu.Unlock()
	for _, fault := range fresh {
		t.logger.Warn("mqtt server departs from the specification, which is passed over", "fault", fault)
	}
}
