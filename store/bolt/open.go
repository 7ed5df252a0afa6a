package bolt

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
)

// bucketName is the bucket that has all records. It marks a file as ours and tells
// the version of what is in it.
var bucketName = []byte("github.com/seed65a45251/mqtt/store 1")

// smallest is the size of a file that has nothing in it yet: four pages.
const smallest = 4 * 4096

// Open opens the store at path, or creates one that only its user may read, in a
// directory that exists. It fails when the file is in use (ErrLocked), of another
// kind (ErrForeign) or damaged (ErrDamaged), and with the error of the system
// otherwise.
func Open(path string, config Config) (*File, error) {
	f := newFile(path, config, shrinking)
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("store/bolt: open %s: %w", path, err)
	}
	return f, nil
}

func newFile(path string, config Config, shrinking limits) *File {
	return &File{path: path, config: config, commit: (*bbolt.Tx).Commit, shrinking: shrinking, ended: make(chan struct{})}
}

func (f *File) open() (err error) {
	if f.path, err = resolve(f.path); err != nil {
		return err
	}
	deadline := time.Now().Add(f.config.lockTimeout())
	for {
		d, used, err := openOnce(f.path, f.config, deadline)
		if err != nil {
			return err
		}
		// Whoever had the file open may have replaced it by a smaller one while we waited
		// for the lock on the old one, which nobody will find any more.
		if d.isAt(f.path) {
			return f.begin(d, used)
		}
		d.close()
		if time.Now().After(deadline) {
			return ErrLocked
		}
	}
}

// resolve returns the path that leads to the same file when the program changes its
// directory, and that can be renamed to: not a symbolic link.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target, nil
	}
	return path, nil
}

// until returns how long bbolt may wait for a lock. Less than nothing makes it try
// once, nothing would make it wait forever.
func until(deadline time.Time) time.Duration {
	return cmp.Or(time.Until(deadline), -1)
}

// openOnce opens the file that is at path when it comes to that, and returns how
// much of it is in use.
func openOnce(path string, config Config, deadline time.Time) (*database, int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(path, config.MaxSize)
		if err == nil {
			info, err = os.Stat(path)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%w: %s", ErrForeign, info.Mode().Type())
	}
	if size := info.Size(); 0 < size && size < smallest {
		return nil, 0, fmt.Errorf("%w: it has only %d bytes", ErrForeign, size)
	}
	var used int64
	// bbolt makes a database of an empty file.
	if info.Size() > 0 {
		if used, err = verifyFile(path, until(deadline)); err != nil {
			return nil, 0, err
		}
	}
	d, err := openDatabase(path, config, until(deadline))
	return d, used, err
}

// begin makes d the file's database, when it has its bucket and is not too large for
// what is in it.
func (f *File) begin(d *database, used int64) error {
	f.db = d
	if err := guard(d.ensureBucket); err != nil {
		d.close()
		return err
	}
	// The file is as good as before if that fails, for want of space or of the right to
	// write into the directory. It fails for good only when nobody can tell which of
	// the two files will be there after a crash.
	if f.shrinking.atOpen(d.size(), used) {
		if err := f.shrink(); err != nil {
			f.db.close()
			return err
		}
	}
	return nil
}

// create makes an empty store and puts it at path when it is complete: a crash in
// between leaves no file that cannot be opened. When two do so at a time, the first
// wins and both go on with its file.
func create(path string, maxSize int64) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*")
	if err != nil {
		return err
	}
	name := temporary.Name()
	defer os.Remove(name)
	if err := temporary.Close(); err != nil {
		return err
	}
	d, err := openDatabase(name, Config{MaxSize: maxSize}, -1)
	if err != nil {
		return err
	}
	err = guard(d.ensureBucket)
	d.close()
	if err != nil {
		return err
	}
	switch err := os.Link(name, path); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		// A file system without links: bbolt makes the database out of an empty file.
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return syncDirectory(path)
}

// syncDirectory makes the name of a file durable; its own fsync does not.
func syncDirectory(path string) error {
	if runtime.GOOS == "windows" { // there directories can not be synced
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
