package simulation

import (
	"bytes"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/store"
)

// disk is the Store of one client, which survives its processes.
type disk struct {
	records map[string][]byte
	fault   diskFault
	left    int // commits that the fault concerns
	broken  bool
}

// diskFault is how a Commit fails.
type diskFault int

const (
	diskFull    diskFault = iota // nothing has changed
	diskFails                    // nothing has changed
	diskBreaks                   // it cannot tell, and works again for the next process
	diskBreaks2                  // it cannot tell, and everything has changed
	diskFaults
)

var (
	errDisk   = errors.New("the disk fails")
	errBroken = errors.New("the disk cannot tell whether it has written")
)

func newDisk() *disk { return &disk{records: make(map[string][]byte)} }

// fail makes the next n commits fail.
func (d *disk) fail(fault diskFault, n int) { d.fault, d.left = fault, n }

// Commit implements [store.Store].
func (d *disk) Commit(ops []store.Op) error {
	if d.broken {
		return errBroken
	}
	if d.left > 0 {
		d.left--
		switch d.fault {
		case diskFull:
			return store.ErrFull
		case diskFails:
			return errDisk
		case diskBreaks2:
			d.apply(ops)
		}
		d.broken = true
		return errBroken
	}
	d.apply(ops)
	return nil
}

func (d *disk) apply(ops []store.Op) {
	for _, op := range ops {
		if op.Delete {
			delete(d.records, string(op.Key))
		} else {
			d.records[string(op.Key)] = bytes.Clone(op.Value)
		}
	}
}

// Scan implements [store.Store].
func (d *disk) Scan(prefix []byte) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for _, k := range d.keys(string(prefix)) {
			if !yield(store.Record{Key: []byte(k), Value: d.records[k]}, nil) {
				return
			}
		}
	}
}

func (d *disk) keys(prefix string) (keys []string) {
	for k := range d.records {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// Close implements [store.Store].
func (d *disk) Close() error { return nil }

// reopen is what the next process does.
func (d *disk) reopen() { d.broken, d.left = false, 0 }

// damage changes one byte of a record, or cuts it off, and returns its key and what it
// was. The header is left alone.
func (d *disk) damage(which, how int) (key, was string) {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(d.records)), func(k string) bool {
		return k == "Ch" || strings.HasPrefix(k, "Ca") || strings.HasPrefix(k, "Cz")
	})
	if len(keys) == 0 {
		return "", ""
	}
	k := keys[which%len(keys)]
	was = string(d.records[k])
	v := []byte(was)
	if how%2 == 0 {
		v = v[:how/2%len(v)]
	} else {
		v[how/2%len(v)] ^= byte(1 + how%255)
	}
	d.records[k] = v
	return k, was
}
