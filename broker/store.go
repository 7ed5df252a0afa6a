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

// clockInterval is how often the store is told that the broker is still there, while
// a session in it has a connection.
const clockInterval = time.Minute

// persistence is the way to Config.Store, and what follows when it has something.
// Without a Store nothing is durable: nobody has anything to commit, nothing waits and
// nothing runs.
type persistence struct {
	*journal.Journal
	hooks    *hooks
	counts   *statsCounters
	log      *slog.Logger
	follows  storeFollows
	message  atomic.Uint64 // the number of the last message
	notices  notices
	stopOnce sync.Once

	// Of the goroutine of the journal.
	failing bool // the last Commit failed
}

// storeFollows is what the journal asks of the hub.
type storeFollows struct {
	begin     func([]store.Op) []store.Op
	end       func(error)
	concluded func()
	needed    func() bool // somebody's session depends on the clock
}

// newPersistence makes the way to s, which may be nil.
func newPersistence(s store.Store, hooks *hooks, follows storeFollows) *persistence {
	p := &persistence{hooks: hooks, counts: hooks.counts, log: hooks.cfg.Logger, follows: follows, notices: newNotices()}
	p.Journal = journal.New(s, p)
	return p
}

// start lets the goroutines run.
func (p *persistence) start() {
	p.Start(clockInterval)
	go p.announce() // stop waits for it
}

// stop commits what is left, see journal.Journal.Stop, and tells the observers.
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

// Committed implements journal.Owner. It logs the first failure of a row, and its end.
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

// Tick implements journal.Owner. It records that the broker is there, if a session
// depends on it.
func (p *persistence) Tick() {
	if p.follows.needed() {
		p.Later(store.Op{Key: records.ClockKey(), Value: records.ClockValue(time.Now())})
	}
}
