package broker

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/store"
)

// clockInterval is how often the broker notes the time in the store while a stored
// session has a connection.
const clockInterval = time.Minute

// persistence leads to Config.Store and runs what follows a Commit. Without a Store
// nothing is durable, no task exists and no goroutine runs.
type persistence struct {
	*journal.Journal
	hooks    *hooks
	counts   *statsCounters
	log      *slog.Logger
	follows  storeFollows
	message  atomic.Uint64 // the number of the last message
	notices  notices
	stopOnce sync.Once

	// Used by the journal's goroutine only.
	failing bool // the last Commit failed
}

// storeFollows are the functions of the hub that the journal calls.
type storeFollows struct {
	begin     func([]store.Op) []store.Op
	end       func(error)
	concluded func()
	needed    func() bool // reports whether a session depends on the clock
}

// newPersistence returns the persistence of s, which may be nil.
func newPersistence(s store.Store, hooks *hooks, follows storeFollows) *persistence {
	p := &persistence{hooks: hooks, counts: hooks.counts, log: hooks.cfg.Logger, follows: follows, notices: newNotices()}
	p.Journal = journal.New(s, p)
	return p
}

// start starts the goroutines.
func (p *persistence) start() {
	p.Start(clockInterval)
	go p.announce() // stop waits for it
}

// stop commits the remaining tasks, see journal.Journal.Stop, and waits until the
// observers have been told.
func (p *persistence) stop(ctx context.Context) (err error) {
	if !p.Stores() {
		return nil
	}
	p.stopOnce.Do(func() {
		err = p.Stop(ctx)
		close(p.notices.over)
		<-p.notices.ended
	})
	return err
}

// Begin implements journal.Owner.
func (p *persistence) Begin(ops []store.Op) []store.Op { return p.follows.begin(ops) }

// End implements journal.Owner.
func (p *persistence) End(err error) { p.follows.end(err) }

// Committed implements journal.Owner. It logs the first failure in a row, and the end
// of the row.
func (p *persistence) Committed(err error) {
	if err == nil {
		p.counts.commits.Add(1)
		if p.failing {
			p.log.Info("store works again")
		}
	} else {
		p.counts.commitErrors.Add(1)
		if !p.failing {
			p.log.Error("store failed", "error", err)
		}
	}
	p.failing = err != nil
}

// Concluded implements journal.Owner.
func (p *persistence) Concluded() { p.follows.concluded() }

// Tick implements journal.Owner. It records the time if a session depends on it.
func (p *persistence) Tick() {
	if p.follows.needed() {
		p.Later(store.Op{Key: records.ClockKey(), Value: records.ClockValue(time.Now())})
	}
}
