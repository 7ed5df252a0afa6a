package journal

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/store"
)

// disk is a store whose Commits can be made to wait and to fail.
type disk struct {
	*store.Mem
	mood atomic.Pointer[mood]
	mu   sync.Mutex // guards got
	got  [][]store.Op
}

// commits returns what the store was asked for.
func (d *disk) commits() [][]store.Op {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.got)
}

type mood struct {
	err  error
	sets error // of what sets a key
	wait chan struct{}
}

func (d *disk) Commit(ops []store.Op) error {
	m := d.mood.Load()
	d.mu.Lock()
	d.got = append(d.got, slices.Clone(ops))
	d.mu.Unlock()
	if m.wait != nil {
		<-m.wait
	}
	if m.sets != nil && slices.ContainsFunc(ops, func(op store.Op) bool { return !op.Delete }) {
		return m.sets
	}
	if m.err != nil {
		return m.err
	}
	return d.Mem.Commit(ops)
}

func newDisk() *disk {
	d := &disk{Mem: store.Memory()}
	d.set(nil, nil, nil)
	return d
}

func (d *disk) set(err, sets error, wait chan struct{}) { d.mood.Store(&mood{err, sets, wait}) }
