// Package journal is the way to a store.Store for a server with many clients: what has
// to be stored becomes a task, all tasks that have gathered while the store was busy are
// committed together, and then each of them goes on. It knows nothing of MQTT.
package journal

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/store"
)

const (
	// LazyDelay is how long what nobody waits for may take to the store. Most of it goes
	// with something else before.
	LazyDelay = 200 * time.Millisecond
	// RetryDelay is when something that has to be written is tried again.
	RetryDelay = time.Second
	// Maximum bounds the memory of what waits for the store, in bytes, and ShareMaximum
	// that of one Share.
	Maximum      = 64 << 20
	ShareMaximum = 4 << 20
)

// Owner is whom a Journal works for. Its methods are called on the goroutine of the
// Journal, which holds no lock meanwhile.
type Owner interface {
	// Begin appends what has changed without a task to the operations of a Commit.
	Begin(ops []store.Op) []store.Op
	// End says what became of what Begin has appended; err is nil if there was nothing to
	// commit.
	End(err error)
	// Committed is told of every Commit.
	Committed(err error)
	// Concluded is called when all tasks that were committed together have gone on.
	Concluded()
	// Tick is called once in an interval.
	Tick()
}

// Journal commits tasks. Its methods are safe for concurrent use, and none but Admit and
// Stop waits. Without a Store nobody has a task: nothing may be added, nothing waits and
// nothing runs.
type Journal struct {
	store store.Store
	owner Owner
	wake  chan struct{} // holds one
	ended chan struct{} // closed when the goroutine is done

	// Of the goroutine.
	ops  []store.Op
	lost error // of the last Commit; set before ended is closed

	gathered
}

// gathered is what waits for the next Commit.
type gathered struct {
	mu       sync.Mutex // guards the rest; a leaf
	tasks    []*Task
	batch    []*Task       // on their way
	bytes    int           // that tasks cost
	held     int           // of these, what is held behind the end of its task
	progress chan struct{} // closed when tasks are done
	timer    *time.Timer   // wakes; nil: not needed yet
	armed    bool
	stopping bool
}

// New returns a Journal that has yet to be started. If s is nil, there is no Store.
func New(s store.Store, owner Owner) *Journal {
	return &Journal{
		store:    s,
		owner:    owner,
		wake:     make(chan struct{}, 1),
		ended:    make(chan struct{}),
		gathered: gathered{progress: make(chan struct{})},
	}
}

// Stores reports whether there is a Store.
func (j *Journal) Stores() bool { return j.store != nil }

// Start starts the goroutine, which calls Owner.Tick once in an interval. Stop waits for
// it.
func (j *Journal) Start(interval time.Duration) { go j.run(interval) }

// Ended returns what is closed when nothing is committed any more.
func (j *Journal) Ended() <-chan struct{} { return j.ended }

// Signal wakes the goroutine for what has gathered.
func (j *Journal) Signal() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Soon wakes the goroutine within LazyDelay.
func (j *Journal) Soon() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.armLocked(LazyDelay)
}

// armLocked wakes the goroutine in a while. Called with j.mu held.
func (j *Journal) armLocked(delay time.Duration) {
	if j.armed {
		return
	}
	j.armed = true
	if j.timer == nil {
		j.timer = time.AfterFunc(delay, j.Signal)
	} else {
		j.timer.Reset(delay)
	}
}

// disarmLocked ends the waiting of armLocked. Called with j.mu held.
func (j *Journal) disarmLocked() {
	if j.timer == nil {
		j.timer = time.AfterFunc(time.Hour, j.Signal)
	}
	j.timer.Stop()
	j.armed = false
}

// run commits until Stop.
func (j *Journal) run(interval time.Duration) {
	defer close(j.ended)
	clock := time.NewTicker(interval)
	defer clock.Stop()
	for {
		select {
		case <-j.wake:
			runtime.Gosched() // those who can run add what they have
		case <-clock.C:
			j.owner.Tick()
		}
		if j.work() {
			j.timer.Stop()
			return
		}
	}
}

// Idle reports whether nobody waits.
func (j *Journal) Idle() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, tasks := range [][]*Task{j.batch, j.tasks} {
		for _, t := range tasks {
			if t.Done != nil {
				return false
			}
		}
	}
	return true
}

// Stop commits what is left and returns the error of that. When ctx ends first it goes on
// without waiting, and Stop returns the cause: there is no way to take a Commit back. Then
// the goroutine ends with that Commit. Call it once, after Start.
func (j *Journal) Stop(ctx context.Context) error {
	j.mu.Lock()
	j.stopping = true
	j.mu.Unlock()
	j.Signal()
	select {
	case <-j.ended:
		return j.lost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
