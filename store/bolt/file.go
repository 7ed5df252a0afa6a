package bolt

import (
	"fmt"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/seed65a45251/mqtt/store"
)

// File is a Store in a file. Its methods are safe for concurrent use.
type File struct {
	path   string
	config Config

	// What tests replace.
	commit    func(*bbolt.Tx) error
	shrinking limits

	// ended is closed when the first Close has done everything.
	ended chan struct{}
	// scans counts those under way in all databases. It grows under mu before closed.
	scans sync.WaitGroup

	// mu guards what follows. It is not held while the file is read or written.
	mu sync.Mutex
	// db changes when the file was shrunk. Only who leads the queue does so.
	db *database
	// queue has the Commits that nobody has answered yet, in the order in which they
	// came. The first leads: it writes for those that follow.
	queue []*request
	// broken is why nothing works any more.
	broken error
	closed bool
	// drained, if not nil, is closed when the queue has become empty.
	drained chan struct{}
}

var _ store.Store = (*File)(nil)

// Path returns the path of the file, without symbolic links.
func (f *File) Path() string { return f.path }

// Close waits for the Commits and Scans that have begun and closes the file, which
// then is on the disk even with NoSync. Others fail with store.ErrClosed from then
// on. A second Close waits for the first and does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		<-f.ended
		return nil
	}
	f.closed = true
	drained := make(chan struct{})
	if len(f.queue) == 0 {
		close(drained)
	} else {
		f.drained = drained
	}
	f.mu.Unlock()
	defer close(f.ended)
	<-drained
	f.scans.Wait()

	var err error
	if f.config.NoSync && f.broken == nil {
		err = guard(f.db.Sync)
	}
	if closeErr := f.db.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("store/bolt: close %s: %w", f.path, err)
	}
	return nil
}

// usable returns why the File is not, if so. The caller holds f.mu.
func (f *File) usable() error {
	if f.closed {
		return store.ErrClosed
	}
	return f.broken
}
