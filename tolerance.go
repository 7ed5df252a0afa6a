package mqtt

import (
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/wire"
)

// tolerance collects the mistakes of servers that were passed over because they harm
// no message (docs/tolerance.md lists them), to be logged once each. They are found
// under engine.mu and on the goroutine of the reader; its lock is a leaf.
type tolerance struct {
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

// take returns what is to be logged.
func (t *tolerance) take() []*wire.Error {
	if !t.pending.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := t.fresh
	t.fresh = nil
	t.pending.Store(false)
	return fresh
}

// warn logs what was passed over. No lock is held.
func (c *Client) warn(faults []*wire.Error) {
	for _, fault := range faults {
		c.cfg.Logger.Warn("mqtt server departs from the specification, which is passed over",
			"client_id", c.cfg.ClientID, "fault", fault)
	}
}
