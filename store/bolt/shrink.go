package bolt

import (
	"os"

	"go.etcd.io/bbolt"
)

// limits say when it is worth copying a file to make it smaller.
type limits struct {
	// from is the size from which a file may be shrunk.
	from int64
	// quick is how many bytes may be in use for a Commit to shrink the file. Other
	// Commits wait during the copy.
	quick int64
}

var shrinking = limits{from: 64 << 20, quick: 16 << 20}

func (l limits) atOpen(size, used int64) bool {
	return size >= l.from && used <= size/2
}

func (l limits) whileOpen(size, used int64) bool {
	return size >= l.from && used <= size/4 && used <= l.quick
}

// shrinkIfEmpty shrinks a file that is nearly empty. Only the leader of the queue
// calls it.
func (f *File) shrinkIfEmpty() error {
	stats := f.db.Stats()
	free := int64(stats.FreePageN+stats.PendingPageN) * int64(f.db.Info().PageSize)
	if free < f.shrinking.from/2 { // this is nearly always so, and saves the system call
		return nil
	}
	var inPages int64 // the file is up to growth larger
	err := guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			inPages = tx.Size()
			return nil
		})
	})
	if err != nil || !f.shrinking.whileOpen(f.db.size(), inPages-free) {
		return nil // if that fails, the next Commit does, too
	}
	return f.shrink()
}

// shrink copies the records into a new file, which then replaces the old one. Scans
// of the old file continue there. If shrinking fails, it is tried again only when the
// file has doubled. An error means that the File can no longer be used.
func (f *File) shrink() error {
	old := f.db
	name := f.path + ".compact"
	d, err := f.copyTo(name)
	if err != nil {
		f.shrinking.from = 2 * max(old.size(), f.shrinking.from)
		return nil
	}
	if err := os.Rename(name, f.path); err != nil {
		d.close()
		os.Remove(name)
		f.shrinking.from = 2 * max(old.size(), f.shrinking.from)
		return nil
	}
	f.mu.Lock()
	f.db, old.retired = d, true
	unread := old.scans == 0
	f.mu.Unlock()
	if unread {
		_ = old.close()
	}
	// Until the directory is on the disk, a crash of the machine may bring the old file
	// back, without later Commits.
	if err := syncDirectory(f.path); err != nil && !f.config.NoSync {
		return &fatalError{err}
	}
	return nil
}

// copyTo copies all records into a new file. It removes the rest of an interrupted
// copy: the process that has the lock on the store's file owns this name, too.
func (f *File) copyTo(name string) (*database, error) {
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	d, err := openDatabase(name, Config{NoSync: true, MaxSize: f.config.MaxSize}, -1)
	if err != nil {
		return nil, err
	}
	err = guard(func() error {
		if err := bbolt.Compact(d.DB, f.db.DB, maxGroup); err != nil {
			return err
		}
		return d.Sync()
	})
	if err != nil {
		d.close()
		os.Remove(name)
		return nil, err
	}
	d.NoSync = f.config.NoSync
	d.fill()
	return d, nil
}
