package journal

import (
	"errors"

	"github.com/seed65a45251/mqtt/store"
)

// errUnwanted is the error that Done gets for a task that was given up.
var errUnwanted = errors.New("given up")

// outcome is a finished task and its result.
type outcome struct {
	task *Task
	err  error
}

// work commits the tasks that have gathered. It returns true if that was the last
// time.
func (j *Journal) work() (last bool) {
	for {
		j.mu.Lock()
		batch, stopping := j.tasks, j.stopping
		j.batch, j.tasks = batch, nil
		j.disarmLocked()
		j.mu.Unlock()
		batch, refused := divide(batch)
		err := j.commit(batch)
		again := j.conclude(batch, err, refused)
		if !stopping {
			return false
		}
		if !again || err != nil {
			j.lost = err
			return true
		}
	}
}

// divide separates the tasks that are given up or refused from the others.
func divide(batch []*Task) (left []*Task, refused []outcome) {
	for i, t := range batch {
		err := t.refusal()
		if err != nil && refused == nil {
			left = append(left, batch[:i]...) // batch is shared with j.batch
		}
		switch {
		case err != nil:
			refused = append(refused, outcome{t, err})
		case refused != nil:
			left = append(left, t)
		}
	}
	if refused == nil {
		return batch, nil
	}
	return left, refused
}

func (t *Task) refusal() error {
	if t.unwanted.Load() {
		return errUnwanted
	}
	if t.Refused == nil {
		return nil
	}
	return t.Refused()
}

// commit writes the operations of all tasks, and the changes that the owner adds, in
// one Commit.
func (j *Journal) commit(batch []*Task) error {
	ops := j.ops[:0]
	for _, t := range batch {
		ops = append(ops, t.Ops...)
	}
	ops = j.owner.Begin(ops)
	var err error
	if len(ops) > 0 {
		err = j.store.Commit(ops)
		j.owner.Committed(err)
	}
	j.owner.End(err)
	clear(ops)
	j.ops = ops[:0]
	if cap(ops) > opsMaximum {
		j.ops = nil
	}
	return err
}

// opsMaximum is how much space for operations is kept between commits.
const opsMaximum = 4096

// conclude calls Done of the tasks and returns their memory. It reports whether there
// are more tasks.
func (j *Journal) conclude(batch []*Task, err error, refused []outcome) (more bool) {
	var again []*Task
	if err != nil {
		batch, again = j.relieve(batch)
	}
	over := make([]outcome, 0, len(batch)+len(refused))
	for _, t := range batch {
		over = append(over, outcome{t, err})
	}
	over = append(over, refused...)
	for _, each := range over {
		switch t := each.task; {
		case t.Done == nil:
		case t.Keep:
			t.Done(nil)
		default:
			t.Done(each.err)
		}
	}
	j.owner.Concluded()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, each := range over {
		t := each.task
		if t.Share != nil {
			t.Share.tasks--
		}
		if t.Held {
			j.held += t.Cost
		} else {
			j.giveBackLocked(t)
		}
	}
	j.batch = nil
	if len(again) > 0 {
		j.tasks = append(again, j.tasks...)
	}
	if err != nil {
		j.armed = false
		j.armLocked(RetryDelay)
	}
	j.advanceLocked()
	return len(j.tasks) > 0
}

// relieve divides tasks that could not be committed: over are those that are told of
// the error, again those that are tried until they succeed. It commits the removals
// of the latter by themselves. A full Store may accept nothing else, and without them
// it would stay full as long as publishers try to add to it.
func (j *Journal) relieve(tasks []*Task) (over, again []*Task) {
	removed := make(map[string]bool) // by key: whether the last operation removes it
	ahead := make(map[string]bool)   // by key: keys of a whole task, which must be committed first
	sets := false
	for _, t := range tasks {
		for _, op := range t.Ops {
			sets = sets || !op.Delete
			if key := string(op.Key); t.Whole {
				ahead[key], removed[key] = true, false
			} else if t.Keep && !ahead[key] {
				removed[key] = op.Delete
			}
		}
	}
	var removals []store.Op
	for key, is := range removed {
		if is {
			removals = append(removals, store.Op{Key: []byte(key), Delete: true})
		}
	}
	// If there were only removals, they have just failed.
	relieved := sets && len(removals) > 0 && j.store.Commit(removals) == nil
	for _, t := range tasks {
		done := !t.Keep
		if relieved && t.Keep && len(t.Ops) > 0 {
			t.Ops = without(t.Ops, removed)
			done = len(t.Ops) == 0
		}
		if !done {
			again = append(again, t)
		} else {
			over = append(over, t)
		}
	}
	return over, again
}

// without returns the operations on keys that are not in removed. A key in removed
// ends up removed, so its earlier operations no longer matter.
func without(ops []store.Op, removed map[string]bool) []store.Op {
	var left []store.Op
	for _, op := range ops {
		if !removed[string(op.Key)] {
			left = append(left, op)
		}
	}
	return left
}
