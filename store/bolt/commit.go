package bolt

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/seed65a45251/mqtt/store"
)

const (
	// maxGroup limits what is written together for concurrent Commits, in bytes. A
	// larger Commit is written alone.
	maxGroup = 4 << 20
	// opCost is what an operation counts besides its key and value: its share of a
	// page that has to be read and rewritten.
	opCost = 128
	// fill is the part of a page that a split leaves full. Keys of queues come in their
	// order, and then nothing is added to that page any more: with one half, bbolt's
	// default, half of the file would be empty. Nearer to 1, keys in any order would
	// split pages too often.
	fill = 0.8
)

// request is a Commit that waits.
type request struct {
	ops []store.Op
	// size is what the operations count in a group.
	size int
	// sets is 1 when the operations do not only delete.
	sets int
	// turn is closed when the request has its answer or is to lead.
	turn chan struct{}
	done bool
	err  error
}

// Commit implements store.Store. It also refuses values longer than MaxValue, with
// ErrValue. Commits that arrive during a write are then written together, up to 4 MiB
// at a time, and each has its own result. They happen in the order of the calls, and a
// Commit returns only when all those that were called before it have their results. If
// not all of them fit on the disk, those that fit are written, and the others are left
// out. Config.MaxSize does not stop deletions, but a disk without any free space may.
func (f *File) Commit(ops []store.Op) error {
	if err := check(ops); err != nil {
		return err
	}
	r := &request{ops: ops, turn: make(chan struct{})}
	for _, op := range ops {
		r.size += opCost + len(op.Key) + len(op.Value)
		if !op.Delete {
			r.sets = 1
		}
	}
	f.mu.Lock()
	if err := f.usable(); err != nil || len(ops) == 0 {
		f.mu.Unlock()
		return err
	}
	f.queue = append(f.queue, r)
	first := len(f.queue) == 1
	f.mu.Unlock()

	if !first {
		<-r.turn
	}
	if !r.done {
		f.lead()
	}
	return r.err
}

// lead writes the first group of the queue, which contains the caller's Commit, and
// answers it. It then passes the lead to the next waiting Commit, so that no caller
// works for longer than one group takes.
func (f *File) lead() {
	f.gather()
	f.mu.Lock()
	group := firstGroup(f.queue) // only the leader removes from the queue
	fatal := f.broken
	f.mu.Unlock()

	if fatal == nil {
		fatal = f.write(group)
	} else {
		answer(group, fatal)
	}
	f.tell(group, fatal)
	if fatal == nil {
		fatal = f.shrinkIfEmpty() // what the group has written is safe in any case
	}
	f.passLead(len(group), fatal)
}

// gather lets Commits that are about to come join: those of callers that the last group
// has just answered. Without it two halves of the callers would alternate instead of
// sharing a group. It costs nothing if no other goroutine can run.
func (f *File) gather() {
	const most = 16
	for waiting, i := 0, 0; i < most; i++ {
		runtime.Gosched()
		f.mu.Lock()
		n := len(f.queue)
		f.mu.Unlock()
		if n == waiting {
			return
		}
		waiting = n
	}
}

// tell wakes those that follow the leader, in their order. If the File can no longer be
// used, that is so for all calls before one of them knows.
func (f *File) tell(group []*request, fatal error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endLocked(fatal)
	for _, r := range group[1:] {
		close(r.turn)
	}
}

// endLocked makes fatal, if not nil, the error of all calls from now on.
func (f *File) endLocked(fatal error) {
	if f.broken == nil {
		f.broken = fatal
	}
}

// passLead removes a group from the queue and wakes the next leader.
func (f *File) passLead(n int, fatal error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endLocked(fatal)
	f.queue = slices.Delete(f.queue, 0, n)
	if len(f.queue) > 0 {
		close(f.queue[0].turn)
	} else if f.drained != nil {
		close(f.drained)
	}
}

// firstGroup returns the requests at the head of the queue that are written together.
func firstGroup(queue []*request) []*request {
	size := queue[0].size
	for i, r := range queue[1:] {
		if size += r.size; size > maxGroup {
			return queue[:i+1]
		}
	}
	return queue
}

func answer(group []*request, err error) {
	for _, r := range group {
		r.done = true
		if err != nil {
			r.err = fmt.Errorf("store/bolt: commit: %w", err)
		}
	}
}
