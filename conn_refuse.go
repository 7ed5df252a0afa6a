package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// refuse breaks the connection off because of err, unless it can be overlooked.
func (k *conn) refuse(ctx context.Context, err error) error {
	overlooked, failed := k.overlook(err)
	switch {
	case overlooked:
		return nil
	case failed != nil:
		if err = failed; !isFault(err) {
			return err
		}
	}
	return k.breakOff(ctx, err)
}

// overlook reads past a PUBLISH that the reader has refused with err because it is too
// large, and reports whether it could: see [session.Client.Tolerant].
func (k *conn) overlook(err error) (bool, error) {
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || fault.Packet != wire.TypePublish || fault.Reason != PacketTooLarge {
		return false, nil
	}
	k.engine.mu.Lock()
	tolerant := k.engine.Tolerant()
	k.engine.mu.Unlock()
	if !tolerant {
		return false, nil
	}
	h, head, failed := k.reader.Skim()
	if failed != nil {
		return false, readError(failed)
	}
	var refused []session.Refused
	k.engine.do(func(engine *session.Client) {
		failed = engine.Overlook(h, head, fault)
		refused = engine.Refused(nil)
	})
	k.tolerance.report()
	k.receiver.tellRefused(refused)
	return failed == nil, failed
}

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
