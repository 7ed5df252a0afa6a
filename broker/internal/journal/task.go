package journal

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/store"
)

// Task is what is committed as a whole, and what follows then.
type Task struct {
	// Ops are the operations, in their order.
	Ops []store.Op
	// Keep says that they are tried until the Store takes them, as there is nobody to
	// tell. Done gets nil then.
	Keep bool
	// Whole says that the removals in Ops have no meaning without the rest.
	Whole bool
	// Share is what the task counts against. If nil, that is nobody's.
	Share *Share
	// Cost is the memory that the task needs beside Ops, in bytes. Add completes it.
	Cost int
	// Refused is asked before the Commit. If it returns an error, the task is left out and
	// Done gets that. If nil, there is nothing to ask. A task with Keep has none.
	Refused func() error
	// Done is called on the goroutine of the Journal, which holds no lock. If nil, nothing
	// follows.
	Done func(error)
	// Held is set by Done if the memory is needed for longer, until Free.
	Held bool

	unwanted atomic.Bool
}

// GiveUp says that nobody waits any more. A task that is not on its way is not committed
// then.
func (t *Task) GiveUp() { t.unwanted.Store(true) }

// Share is what of one publisher waits. The zero value is one of which nothing does.
type Share struct{ tasks, bytes int } // guarded by Journal.mu

const (
	taskCost      = 256 // what a task needs beside its operations
	operationCost = 64  // what an operation needs beside its key and value
)

func costOf(ops []store.Op) (n int) {
	for _, op := range ops {
		n += operationCost + len(op.Key) + len(op.Value)
	}
	return n
}

// Add gathers a task that somebody waits for.
func (j *Journal) Add(t *Task) {
	t.Cost += taskCost + costOf(t.Ops)
	j.mu.Lock()
	j.addLocked(t)
	j.mu.Unlock()
	j.Signal()
}

// Later gathers operations that nobody waits for and that are not given up.
func (j *Journal) Later(ops ...store.Op) {
	if len(ops) == 0 {
		return
	}
	cost := costOf(ops)
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.tasks); n > 0 && j.tasks[n-1].Keep && j.tasks[n-1].Done == nil {
		t := j.tasks[n-1]
		t.Ops = append(t.Ops, ops...)
		t.Cost += cost
		j.bytes += cost
	} else {
		j.addLocked(&Task{Ops: ops, Keep: true, Cost: cost})
	}
	j.armLocked(LazyDelay)
}

// addLocked adds a task.
func (j *Journal) addLocked(t *Task) {
	j.tasks = append(j.tasks, t)
	j.bytes += t.Cost
	if s := t.Share; s != nil {
		s.tasks++
		s.bytes += t.Cost
	}
}
