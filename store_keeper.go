package mqtt

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/seed65a45251/mqtt/internal/durable"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
)

// keeper writes to Config.Store what the engine and publishers leave in the Journal. One
// goroutine does so, outside all locks, and takes all that has gathered together. So many
// publishers share one Commit. engine.mu guards what has no other guard.
type keeper struct {
	engine   *engine
	store    store.Store
	journal  *durable.Journal
	interval time.Duration // Config.StoreInterval
	adopt    bool          // Config.Resume was set by the program
	logger   *slog.Logger
	report   func(error) // tells Watch; without a lock

	asleep    bool          // the goroutine waits for wake
	settled   chan struct{} // closed with the next Settle; nil: no goroutine waits
	fault     error         // why the last Commit failed
	reads     bool          // what is to be read goes before what is to be written
	since     time.Time     // when the first waiting change was seen
	recovered uint64        // the last number of an earlier process

	wake  chan struct{} // one token
	ended chan struct{} // closed when the client ends
	done  chan struct{} // closed when the goroutine has written all
}

const (
	// storeLate is how long the records of what is over may wait to be removed.
	storeLate = 100 * time.Millisecond
	// storeRetry is how long to wait before the next attempt when the Store fails.
	storeRetry = time.Second
)

// wakeLocked reports whether the goroutine has to be woken, by wakeUp after unlocking.
func (k *keeper) wakeLocked() bool {
	if !k.asleep {
		return false
	}
	j := k.journal
	publishing := j.Accepting() && (k.interval <= 0 || k.engine.Connected())
	switch {
	case publishing:
	case k.fault != nil:
		return false // the next attempt has its time
	case j.Owed() || j.Hungry():
	case !k.since.IsZero() || !j.Dirty():
		return false // nothing, or what it knows of
	}
	k.asleep = false
	return true
}

func (k *keeper) wakeUp() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// start starts the goroutine. stop ends it.
func (k *keeper) start() { go k.run() }

// run commits what gathers until the client ends, and then what is left.
func (k *keeper) run() {
	defer close(k.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait, last := k.step()
		if last {
			return
		}
		if wait == 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-k.wake:
		case <-timer.C:
		case <-k.ended:
		}
	}
}

// step does what is due, and returns how long there is nothing to do. last says that
// nothing is left after the end.
func (k *keeper) step() (wait time.Duration, last bool) {
	ending := false
	select {
	case <-k.ended:
		ending = true
	default:
	}
	now := time.Now()
	k.engine.mu.Lock()
	var batch *durable.Batch
	var block *durable.Block
	if k.reads && !ending { // otherwise publishers could keep what is stored from being sent
		block = k.nextBlockLocked(now)
	}
	if wait = k.dueInLocked(now); block == nil && (wait <= 0 || ending) {
		batch = k.journal.Take()
		k.since = time.Time{}
	}
	if batch == nil && block == nil && !ending {
		block = k.nextBlockLocked(now)
	}
	k.reads = batch != nil
	k.asleep = batch == nil && block == nil && !ending
	if due := k.journal.Due(); !due.IsZero() {
		wait = min(wait, due.Sub(now))
	}
	k.engine.mu.Unlock()
	switch {
	case batch != nil:
		batch.Commit(k.store)
		if err := k.settle(batch); err != nil {
			return storeRetry, ending // what is left after the end is left to the next process
		}
		// Those whose messages were written go on first. Their next messages then share the
		// next Commit with those that came meanwhile: otherwise publishers would be in two
		// groups that wait for each other.
		runtime.Gosched()
		return 0, false
	case block != nil:
		block.Read(k.store)
		return k.refill(block), false
	}
	return max(wait, time.Millisecond), ending
}

// nextBlockLocked returns what is to be read; nil: nothing is.
func (k *keeper) nextBlockLocked(now time.Time) *durable.Block {
	if block := k.journal.ExpiredBlock(now); block != nil {
		return block
	}
	return k.journal.NextBlock()
}

// dueInLocked returns how long the next Commit may wait.
func (k *keeper) dueInLocked(now time.Time) time.Duration {
	j := k.journal
	if !j.Dirty() {
		return time.Hour
	}
	if k.since.IsZero() {
		k.since = now
	}
	late := storeLate
	switch {
	case j.Owed():
		late = 0 // bytes wait
	case j.Accepting() && (k.interval <= 0 || k.engine.Connected()):
		late = 0 // publishers wait, or the server could have the message
	case j.Accepting():
		late = k.interval
	}
	return k.since.Add(late).Sub(now)
}

// settle ends a Commit and tells those who wait for it.
func (k *keeper) settle(batch *durable.Batch) (err error) {
	var news error
	k.engine.do(func(*session.Client) {
		err = k.journal.Settle(batch, time.Now())
		if err != nil && k.fault == nil {
			news = err
		}
		k.fault, k.asleep = err, err != nil
		k.tellLocked()
	})
	if news != nil {
		k.tell(news)
	}
	return err
}

// tell says in the log and to Watch that the Store fails because of err.
func (k *keeper) tell(err error) {
	k.logger.Error("mqtt store fails", "cause", err)
	k.report(fmt.Errorf("%w: %w", ErrStore, err))
}

func (k *keeper) tellLocked() {
	if k.settled != nil {
		close(k.settled)
		k.settled = nil
	}
}

// refill gives the engine what was read, and returns how long to wait before the next.
func (k *keeper) refill(block *durable.Block) (wait time.Duration) {
	var news error
	k.engine.do(func(engine *session.Client) {
		err := k.journal.Refill(block, time.Now())
		engine.Sender.Pump(time.Now())
		if err != nil {
			k.asleep, wait = true, storeRetry
			if k.fault == nil {
				news = err
			}
		}
		k.fault = err
	})
	if news != nil {
		k.tell(news)
	}
	return wait
}

// positionLocked says how much must be committed before bytes may be written that were
// just taken. Of a client without a Store it is 0.
func (k *keeper) positionLocked() uint64 {
	if k == nil {
		return 0
	}
	return k.journal.Position()
}

// await waits until everything up to position is committed. It fails when the Store
// does: the bytes must not be written then.
func (k *keeper) await(ctx context.Context, position uint64) error {
	if k == nil || position == 0 {
		return nil
	}
	for {
		k.engine.mu.Lock()
		if k.journal.Committed() >= position {
			k.engine.mu.Unlock()
			return nil
		}
		if err := k.fault; err != nil {
			k.engine.mu.Unlock()
			return fmt.Errorf("%w: %w", ErrStore, err)
		}
		if k.settled == nil {
			k.settled = make(chan struct{})
		}
		settled := k.settled
		if k.asleep {
			k.asleep = false
			k.wakeUp()
		}
		k.engine.mu.Unlock()
		select {
		case <-settled:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop commits what is left and ends the goroutine.
func (k *keeper) stop() {
	if k == nil {
		return
	}
	close(k.ended)
	<-k.done
}
