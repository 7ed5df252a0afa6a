// Package journal commits the changes of a server with many clients to a store.Store.
// Each change is a task. All tasks that gather while the store is busy are committed
// together, and then the code that follows each of them runs. The package knows nothing
// of MQTT.
package journal

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/store"
)

const (
	// LazyDelay bounds the time until operations that nothing waits for are committed.
	// Most of them go with another task before.
	LazyDelay = 200 * time.Millisecond
	// RetryDelay is the pause before a failed Commit is tried again.
	RetryDelay = time.Second
	// Maximum bounds the memory of all tasks that wait for the store, in bytes.
	// ShareMaximum bounds that of one Share.
	Maximum      = 64 << 20
	ShareMaximum = 4 << 20
)

// Owner is the server that a Journal works for. Its methods are called on the
// goroutine of the Journal, which holds no lock meanwhile.
type Owner interface {
	// Begin appends changes that are not tasks to the operations of a Commit.
	Begin(ops []store.Op) []store.Op
	// End reports the result for the operations that Begin appended. err is nil if there
	// was nothing to commit.
	End(err error)
	// Committed is called after every Commit with its result.
	Committed(err error)
	// Concluded is called after Done of all tasks that were committed together.
	Concluded()
	// Tick is called once per interval of Start.
	Tick()
}

// Journal commits tasks. Its methods are safe for concurrent use. Only Admit and Stop
// wait. Without a Store no task may be added, and no goroutine runs.
type Journal struct {
	store store.Store
	owner Owner
	wake  chan struct{} // holds one signal
	ended chan struct{} // closed when the goroutine is done

	// Used by the goroutine only.
	ops  []store.Op
	lost error // error of the last Commit; set before ended is closed

	gathered
}

// gathered holds the tasks for the next Commit.
type gathered struct {
	mu       sync.Mutex // guards the rest; a leaf
	tasks    []*Task
	batch    []*Task       // being committed
	bytes    int           // memory of all tasks
	held     int           // part of bytes that Done has marked as Held
	progress chan struct{} // closed when tasks are done, then replaced
	timer    *time.Timer   // calls Signal; nil: not needed yet
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

// Start starts the goroutine, which calls Owner.Tick once per interval. Stop waits for
// it.
func (j *Journal) Start(interval time.Duration) { go j.run(interval) }

// Ended returns a channel that is closed when the goroutine has ended.
func (j *Journal) Ended() <-chan struct{} { return j.ended }

// Signal wakes the goroutine to commit what has gathered.
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

// armLocked wakes the goroutine after delay. Called with j.mu held.
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

// disarmLocked undoes armLocked. Called with j.mu held.
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
			runtime.Gosched() // lets other goroutines add their tasks first
		case <-clock.C:
			j.owner.Tick()
		}
		if j.work() {
			j.timer.Stop()
			return
		}
	}
}

// Idle reports whether no task with a Done waits.
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

// Stop commits the remaining tasks, waits for the goroutine and returns the error of the
// last Commit. If ctx ends first, Stop returns its cause at once. A Commit cannot be
// taken back: the goroutine then ends after the Commit under way. Call Stop once, after
// Start.
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
