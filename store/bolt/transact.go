package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// write writes a group in one transaction and answers it. If that fails because of
// one request, the others should not suffer: they are then written one at a time, in
// their order. An error of write itself means that the File can no longer be used.
func (f *File) write(group []*request) error {
	err := f.transact(group)
	if fatal := onlyFatal(err); err == nil || fatal != nil || len(group) == 1 {
		answer(group, err)
		return fatal
	}
	var full obstacle
	for i, r := range group {
		if err := full.stops(r); err != nil {
			answer(group[i:i+1], err)
			continue
		}
		err := f.transact(group[i : i+1])
		if fatal := onlyFatal(err); fatal != nil {
			answer(group[i:], err)
			return fatal
		}
		answer(group[i:i+1], err)
		full.learn(r, err)
	}
	return nil
}

// obstacle is what the requests of a group have met that were tried before. Each attempt
// may be expensive, so what needs at least as much space fails with them.
type obstacle struct {
	err error
	// size is that of the smallest request that did not fit. If it only deletes, nothing
	// else fits either.
	size int
}

func (o *obstacle) learn(r *request, err error) {
	if err != nil {
		o.err, o.size = err, r.size*r.sets
	}
}

// stops returns the error of a request that need not be tried. Deleting may be possible
// when nothing else is.
func (o *obstacle) stops(r *request) error {
	if o.err != nil && r.size*r.sets >= o.size && (r.sets != 0 || o.size == 0) {
		return o.err
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
	bucket.FillPercent = fill
	c := bucket.Cursor() // one for all: each allocates for its way through the tree
	for _, r := range group {
		for _, op := range r.ops {
			key, old := c.Seek(op.Key)
			found := bytes.Equal(key, op.Key)
			if found {
				t.sum -= numberOf(old)
			}
			switch {
			case !op.Delete:
				sealed := seal(op.Key, op.Value)
				t.sum += numberOf(sealed)
				err = bucket.Put(op.Key, sealed)
			case found:
				err = c.Delete()
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
