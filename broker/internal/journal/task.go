package journal

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/store"
)

// Task is a set of operations that is committed as a whole, and the code that
// follows.
type Task struct {
	// Ops are the operations, in their order.
	Ops []store.Op
	// Keep says that the operations are tried until the Store accepts them, because
	// no caller can be told of a failure. Done then gets nil.
	Keep bool
	// Whole says that the removals in Ops have no meaning without the rest.
	Whole bool
	// Share is what the task counts against. If nil, it counts only against Maximum.
	Share *Share
	// Cost is the memory that the task needs besides Ops, in bytes. Add adds the cost
	// of Ops.
	Cost int
	// Refused is called before the Commit. If it returns an error, the task is not
	// committed and Done gets the error. If nil, the task is never refused. A task with
	// Keep has no Refused.
	Refused func() error
	// Done is called on the goroutine of the Journal, which holds no lock. If nil, no
	// code follows.
	Done func(error)
	// Held is set by Done if the memory is still needed afterwards, until Free.
	Held bool

	unwanted atomic.Bool
}

// GiveUp says that the result is no longer needed. A task that is not being committed
// yet is then left out.
func (t *Task) GiveUp() { t.unwanted.Store(true) }

// Share counts the waiting tasks of one publisher. The zero value has none.
type Share struct{ tasks, bytes int } // guarded by Journal.mu

const (
	taskCost      = 256 // memory of a task without its operations
	operationCost = 64  // memory of an operation without its key and value
)

func costOf(ops []store.Op) (n int) {
	for _, op := range ops {
		n += operationCost + len(op.Key) + len(op.Value)
	}
	return n
}

// Add adds a task and wakes the goroutine.
func (j *Journal) Add(t *Task) {
	t.Cost += taskCost + costOf(t.Ops)
	j.mu.Lock()
	j.addLocked(t)
	j.mu.Unlock()
	j.Signal()
}

// Later adds operations that nothing waits for and that cannot be given up. They are
// committed within LazyDelay.
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
