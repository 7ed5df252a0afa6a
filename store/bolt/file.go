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

	// Tests replace these.
	commit    func(*bbolt.Tx) error
	shrinking limits

	// ended is closed when the first Close has finished.
	ended chan struct{}
	// scans counts the Scans under way in all databases. It is only increased under
	// mu, before closed is set.
	scans sync.WaitGroup

	// mu guards what follows. It is not held while the file is read or written.
	mu sync.Mutex
	// db is replaced when the file was shrunk. Only the leader of the queue does so.
	db *database
	// queue holds the Commits without an answer, in the order in which they came. The
	// first one leads: it also writes for those that follow.
	queue []*request
	// broken is the error of all calls once the File can no longer be used.
	broken error
	closed bool
	// drained, if not nil, is closed when the queue has become empty.
	drained chan struct{}
}

var _ store.Store = (*File)(nil)

// Path returns the path of the file, without symbolic links.
func (f *File) Path() string { return f.path }

// Close waits for the Commits and Scans that have begun, and closes the file.
// Everything is then on the disk, even with NoSync. Later calls fail with
// store.ErrClosed. A second Close waits for the first and does nothing else.
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

// usable returns nil, or why the File cannot be used. The caller holds f.mu.
func (f *File) usable() error {
	if f.closed {
		return store.ErrClosed
	}
	return f.broken
}
