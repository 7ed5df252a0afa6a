package bolt

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/seed65a45251/mqtt/store"
)

const (
	// maxGroup limits what is written together for concurrent Commits, in bytes. A
	// larger Commit is written alone.
	maxGroup = 4 << 20
	// opCost is what an operation counts besides its key and value: its share of a
	// page that has to be read and rewritten.
	opCost = 128
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
// at a time, and each has its own result. If not all of them fit on the disk, those
// that fit are written: first those that only delete, then the others from the
// smallest on. Config.MaxSize does not stop deletions, but a disk without any free
// space may.
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
	// This lets Commits that are about to come join. It costs nothing if no other
	// goroutine can run. Without it two callers would alternate instead of sharing a
	// group.
	runtime.Gosched()
	f.mu.Lock()
	group := firstGroup(f.queue) // only the leader removes from the queue
	err := f.broken
	f.mu.Unlock()

	if err == nil {
		err = f.write(group)
	} else {
		answer(group, err)
	}
	for _, r := range group[1:] {
		close(r.turn)
	}
	if err == nil {
		err = f.shrinkIfEmpty()
	}

	f.mu.Lock()
	if f.broken == nil {
		f.broken = err
	}
	f.queue = slices.Delete(f.queue, 0, len(group))
	var next *request
	if len(f.queue) > 0 {
		next = f.queue[0]
	} else if f.drained != nil {
		close(f.drained)
	}
	f.mu.Unlock()

	if next != nil {
		close(next.turn)
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

// write writes a group in one transaction and answers it. If that fails because of
// one request, the others should not suffer. They are then written one at a time:
// first those that only delete, which frees space, then the others from the smallest
// on. When one fails, all later ones fail with it, because they need at least as much
// space and each attempt may be expensive. An error of write itself means that the
// File can no longer be used.
func (f *File) write(group []*request) error {
	err := f.transact(group)
	if fatal := onlyFatal(err); err == nil || fatal != nil || len(group) == 1 {
		answer(group, err)
		return fatal
	}
	byNeed := slices.SortedStableFunc(slices.Values(group), func(a, b *request) int {
		return cmp.Or(cmp.Compare(a.sets, b.sets), cmp.Compare(a.size, b.size))
	})
	for i := range byNeed {
		if err := f.transact(byNeed[i : i+1]); err != nil {
			answer(byNeed[i:], err)
			return onlyFatal(err)
		}
		answer(byNeed[i:i+1], nil)
	}
	return nil
}

// fatalError says that a File can no longer be used, because it is damaged or its
// contents are unknown.
type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

func onlyFatal(err error) error {
	if fatal, ok := errors.AsType[*fatalError](err); ok {
		return fatal
	}
	return nil
}

// transact writes a group in one transaction. After an error nothing has changed,
// unless it is fatal.
func (f *File) transact(group []*request) error {
	d := f.db // only the leader replaces it
	// Deleting writes pages before it frees others. If the limit could stop it, a
	// full store would stay full.
	d.MaxSize = 0
	if slices.ContainsFunc(group, func(r *request) bool { return r.sets != 0 }) {
		d.MaxSize = f.config.maxSize()
	}
	id, size := 0, d.size()
	var noRoom error
	err := guard(func() error {
		// Until there is a transaction to roll back, a panic leaves locks held.
		d.stuck = true
		tx, err := d.Begin(true)
		if err != nil {
			d.stuck = false
			return err
		}
		// This does nothing after bbolt's own Commit, even a failed one. After a panic
		// it releases what bbolt holds, unless it panics, too.
		defer func() {
			_ = tx.Rollback()
			d.stuck = false
		}()
		id = tx.ID()
		if err := apply(tx, group); err != nil {
			return err
		}
		noRoom = d.reserve(tx, group)
		size = d.size()
		return f.commit(tx)
	})
	if err == nil {
		d.settle(size, false)
		return nil
	}
	if _, panicked := errors.AsType[*panicError](err); panicked {
		return &fatalError{err}
	}
	if f.mayBeVisible(d, id) {
		return &fatalError{fmt.Errorf("it is not known whether the last Commit is on the disk: %w", describe(err))}
	}
	d.settle(size, true)
	if err = describe(err); noRoom != nil && !errors.Is(err, ErrFull) {
		err = fmt.Errorf("%w: %w", noRoom, err) // bbolt keeps only the text of some errors
	}
	return err
}

func apply(tx *bbolt.Tx, group []*request) error {
	bucket := tx.Bucket(bucketName)
	if bucket == nil {
		return fmt.Errorf("%w: its records are gone", ErrDamaged)
	}
	t, err := tallyOf(bucket)
	if err != nil {
		return err
	}
	for _, r := range group {
		for _, op := range r.ops {
			if old := bucket.Get(op.Key); old != nil {
				t.sum -= numberOf(old)
			}
			if op.Delete {
				err = bucket.Delete(op.Key)
			} else {
				sealed := seal(op.Key, op.Value)
				t.sum += numberOf(sealed)
				err = bucket.Put(op.Key, sealed)
			}
			if err != nil {
				return err
			}
		}
	}
	return bucket.SetSequence(t.next().pack())
}

// mayBeVisible reports whether readers see the transaction id although it failed. In
// that case its last page was written, but it is not known whether the page is on the
// disk. The system may report the failure once and forget it, so another sync proves
// nothing.
func (f *File) mayBeVisible(d *database, id int) bool {
	seen := true
	err := guard(func() error {
		return d.View(func(tx *bbolt.Tx) error {
			seen = tx.ID() >= id
			return nil
		})
	})
	return err != nil || seen
}
