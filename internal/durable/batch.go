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
	probe    store.Op // changes nothing
	spare    []store.Op
	again    []store.Op
	gaveUp   int   // spare records that were removed; negative: that were made again
	err      error // why the changes of the session are not committed
}

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
	b := &Batch{changes: j.changes, entries: j.accepted, appended: j.appended}
	b.probe = put([]byte(keyHeader), j.written)
	b.spare, b.again = j.spare.give(), j.spare.missing()
	j.changes, j.accepted = nil, nil
	j.taken, j.running = b.entries, true
	return b
}

// Commit writes b to s. It takes as long as the disk does, and needs no lock. If the
// messages cannot be recorded, the changes of the session are written all the same.
func (b *Batch) Commit(s store.Store) {
	err := s.Commit(operations(b.changes, func(*Entry) bool { return true }))
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

// commitChanges writes the changes of the session, in place of spare records if there is
// no other space.
func (b *Batch) commitChanges(s store.Store) error {
	ops := operations(b.changes, func(e *Entry) bool { return e == nil })
	ops = append(ops, b.probe) // at least it shows whether the Store works
	for {
		err := s.Commit(ops)
		if err == nil || !isFull(err) || b.gaveUp == len(b.spare) {
			return err
		}
		if err := s.Commit(b.spare[b.gaveUp : b.gaveUp+1]); err != nil {
			return err
		}
		b.gaveUp++
	}
}

// commitEntries writes the messages one by one, after they could not be written together
// because of cause: where space is short, some may fit.
func (b *Batch) commitEntries(s store.Store, cause error) {
	for _, e := range b.entries {
		if !e.Out.Durable {
			continue
		}
		switch {
		case b.err != nil && !isFull(cause):
			e.err = &UnclearError{cause}
		case b.err != nil || !isFull(cause):
			e.err = cause
		case len(b.entries) == 1:
			e.err = cause
		default:
			e.err = s.Commit(operations(b.changes, func(of *Entry) bool { return of == e }))
			if e.err != nil && !isFull(e.err) {
				e.err = &UnclearError{e.err}
			}
		}
	}
}

// isFull reports whether err says that there is no space, and so that nothing has
// changed.
func isFull(err error) bool {
	return errors.Is(err, store.ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Settle ends what Take has begun. It returns why the changes of the session are not
// committed: they are in the next Batch again.
func (j *Journal) Settle(b *Batch, now time.Time) error {
	j.running, j.taken = false, nil
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
	return b.err
}
