package conversation

import (
	"bytes"
	"errors"
	"iter"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/store"
)

// ErrDisk is what a Disk that is broken says.
var ErrDisk = errors.New("the disk is broken")

// Disk is a Store whose process can be killed: what it has then is the Store of the next.
type Disk struct {
	*store.Mem

	mu      sync.Mutex
	broken  error // what Commit returns; nil: it works
	hidden  error // what Scan yields; nil: it works
	commits int
}

// NewDisk returns an empty one.
func NewDisk() *Disk { return &Disk{Mem: store.Memory()} }

// Commit implements store.Store.
func (d *Disk) Commit(ops []store.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return d.broken
	}
	d.commits++
	return d.Mem.Commit(ops)
}

// Break lets Commit fail with err from now on; nil: it works again.
func (d *Disk) Break(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = err
}

// Hide lets Scan fail with err from now on; nil: it works again.
func (d *Disk) Hide(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hidden = err
}

// Scan implements store.Store.
func (d *Disk) Scan(prefix []byte) iter.Seq2[store.Record, error] {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.hidden; err != nil {
		return func(yield func(store.Record, error) bool) { yield(store.Record{}, err) }
	}
	return d.Mem.Scan(prefix)
}

// Commits returns how many Commits there were.
func (d *Disk) Commits() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.commits
}

// Killed returns the Disk that a process finds whose predecessor is killed now. The
// predecessor writes nothing more.
func (d *Disk) Killed(t *testing.T) *Disk {
	d.Break(ErrDisk)
	next := NewDisk()
	for r, err := range d.Scan(nil) {
		require.NoError(t, err)
		require.NoError(t, next.Mem.Commit([]store.Op{{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}}))
	}
	return next
}

// Records returns how many records begin with prefix.
func (d *Disk) Records(t *testing.T, prefix string) (n int) {
	for _, err := range d.Scan([]byte(prefix)) {
		require.NoError(t, err)
		n++
	}
	return n
}

// Stored is Quiet with a Store.
func Stored(srv *mqtttest.Server, d *Disk) mqtt.Config {
	cfg := Quiet(srv)
	cfg.Store = d
	return cfg
}
