package durable

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/seed65a45251/mqtt/store"
)

// Batch is what one Commit writes: everything that has gathered since the last.
type Batch struct {
	changes  []change
	entries  []*Entry
	appended uint64
	ops      []store.Op // of changes
	header   []byte     // as it is: to write it again changes nothing
	spare    spare
	again    []store.Op
	gaveUp   int   // spare records that were removed; negative: that were made again
	err      error // why the changes of the session are not committed
}

// ErrStore is wrapped by the errors of messages that are not recorded.
var ErrStore = errors.New("store fails")

// UnclearError is the error of a message of which the Store cannot tell whether it is
// recorded.
type UnclearError struct{ Err error }

func (e *UnclearError) Error() string {
	return fmt.Sprintf("the store cannot tell whether the message is recorded: %v", e.Err)
}

func (e *UnclearError) Unwrap() error { return e.Err }

// Dirty reports whether there is anything to commit.
func (j *Journal) Dirty() bool { return len(j.changes) > 0 || len(j.accepted) > 0 }

// Owed reports whether bytes wait for a Commit.
func (j *Journal) Owed() bool { return j.appended > j.committed }

// Accepting reports whether messages wait for a Commit.
func (j *Journal) Accepting() bool { return len(j.accepted) > 0 }

// Take takes what has gathered. Settle has to follow before the next Take.
func (j *Journal) Take() *Batch {
	if j.running || !j.Dirty() {
		return nil
	}
	b := &j.batch
	*b = Batch{
		changes: j.changes, entries: j.accepted, appended: j.appended,
		ops: b.ops[:0], header: j.written, spare: j.spare, again: j.spare.missing(),
	}
	j.changes, j.accepted = j.unused.changes, j.unused.entries
	j.taken, j.takenBytes, j.acceptedBytes = b.entries, j.acceptedBytes, 0
	j.running = true
	return b
}

// Commit writes b to s. It takes as long as the disk does, and needs no lock. If the
// messages cannot be recorded, the changes of the session are written all the same.
func (b *Batch) Commit(s store.Store) {
	for _, c := range b.changes {
		b.ops = append(b.ops, c.op)
	}
	err := s.Commit(b.ops)
	if err == nil {
		if b.again != nil && s.Commit(b.again) == nil {
			b.gaveUp = -1
		}
		return
	}
	b.err = b.commitChanges(s)
	b.commitEntries(s, err)
}

func operations(changes []change, of func(*Entry) bool) (ops []store.Op) {
	for _, c := range changes {
		if of(c.entry) {
			ops = append(ops, c.op)
		}
	}
	return ops
}

// commitChanges writes the changes of the session. If there is no space, what is to be
// removed goes first, and then the others in place of spare records.
func (b *Batch) commitChanges(s store.Store) error {
	ops := operations(b.changes, func(e *Entry) bool { return e == nil })
	ops = append(ops, put([]byte(keyHeader), b.header)) // at least it shows whether the Store works
	spare := b.spare.give()
	for split := false; ; {
		err := s.Commit(ops)
		if err == nil || !isFull(err) {
			return err
		}
		if !split {
			split = true
			var removals []store.Op
			if removals, ops = splitRemovals(ops); len(removals) > 0 {
				if err := s.Commit(removals); err != nil {
					return err
				}
				continue
			}
		}
		if b.gaveUp == len(spare) {
			return err
		}
		more := min(max(1, b.gaveUp), len(spare)-b.gaveUp)
		if err := s.Commit(spare[b.gaveUp : b.gaveUp+more]); err != nil {
			return err
		}
		b.gaveUp += more
	}
}

// splitRemovals separates what is removed in the end from the rest.
func splitRemovals(ops []store.Op) (removals, rest []store.Op) {
	last := make(map[string]bool) // whether the last operation on the key removes it
	for _, op := range ops {
		last[string(op.Key)] = op.Delete
	}
	for _, op := range ops {
		switch {
		case !last[string(op.Key)]:
			rest = append(rest, op)
		case op.Delete:
			removals = append(removals, op)
		}
	}
	return removals, rest
}

// commitEntries writes the messages one by one, after they could not be written together
// because of cause: where space is short, some may fit.
func (b *Batch) commitEntries(s store.Store, cause error) {
	full := isFull(cause)
	cause = fmt.Errorf("%w: %w", ErrStore, cause)
	for _, e := range b.entries {
		if !e.stored {
			continue
		}
		switch {
		case b.err != nil && !full:
			e.err = &UnclearError{cause}
		case b.err != nil || !full:
			e.err = cause
		case len(b.entries) == 1:
			e.err = cause
		default:
			e.err = b.commitEntry(s, e)
		}
	}
}

func (b *Batch) commitEntry(s store.Store, e *Entry) error {
	err := s.Commit(operations(b.changes, func(of *Entry) bool { return of == e }))
	if err == nil {
		return nil
	}
	failed := fmt.Errorf("%w: %w", ErrStore, err)
	if !isFull(err) {
		return &UnclearError{failed}
	}
	return failed
}

// isFull reports whether err says that there is no space, and so that nothing has
// changed.
func isFull(err error) bool {
	return errors.Is(err, store.ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Settle ends what Take has begun. It returns why the changes of the session are not
// committed: they are in the next Batch again.
func (j *Journal) Settle(b *Batch, now time.Time) error {
	j.running, j.taken, j.takenBytes = false, nil, 0
	j.spare.gaveUp(b.gaveUp)
	if b.err != nil {
		var again []change
		for _, c := range b.changes {
			if c.entry == nil {
				again = append(again, c)
			}
		}
		j.changes = append(again, j.changes...)
	} else {
		j.committed = b.appended
	}
	j.settle(b.entries, now)
	j.unused.keep(b)
	return b.err
}

// lists are those of a Batch that is settled, for the next but one.
type lists struct {
	changes []change
	entries []*Entry
}

// mostUnused is the largest capacity that is kept for later.
const mostUnused = 4096

func (l *lists) keep(b *Batch) {
	clear(b.changes)
	clear(b.entries)
	clear(b.ops)
	*l = lists{b.changes[:0], b.entries[:0]}
	if cap(b.changes) > mostUnused {
		*l, b.ops = lists{}, nil
	}
}
