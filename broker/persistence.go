package broker

import (
	"context"
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
	b        *Broker
	message  atomic.Uint64 // the number of the last message
	notices  notices
	stopOnce sync.Once

	// Of the goroutine of the journal.
	router  router
	failing bool // the last Commit failed
}

// newPersistence makes the way to s, which may be nil.
func newPersistence(b *Broker, s store.Store) *persistence {
	p := &persistence{b: b, notices: newNotices()}
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

// rouse wakes the writer of c when the tasks that are committed have gone on. It is
// for what they do.
func (p *persistence) rouse(c *conn) { p.router.dirty = append(p.router.dirty, c) }

// Begin implements journal.Owner.
func (p *persistence) Begin(ops []store.Op) []store.Op { return p.b.changes.begin(ops) }

// End implements journal.Owner.
func (p *persistence) End(err error) { p.b.changes.end(err) }

// Committed implements journal.Owner. It logs the first failure of a row, and its end.
func (p *persistence) Committed(err error) {
	if err == nil {
		p.b.counts.commits.Add(1)
		if p.failing {
			p.b.cfg.Logger.Info("store works again")
		}
	} else {
		p.b.counts.commitErrors.Add(1)
		if !p.failing {
			p.b.cfg.Logger.Error("store failed", "error", err)
		}
	}
	p.failing = err != nil
}

// Concluded implements journal.Owner.
func (p *persistence) Concluded() { p.router.flush() }

// Tick implements journal.Owner. It records that the broker is there, if a session
// depends on it.
func (p *persistence) Tick() {
	p.b.mu.RLock()
	needed := false
	for _, cl := range p.b.clients {
		needed = needed || cl.durable.Load() && cl.online.Load()
	}
	p.b.mu.RUnlock()
	if needed {
		p.Later(store.Op{Key: records.ClockKey(), Value: records.ClockValue(time.Now())})
	}
}
