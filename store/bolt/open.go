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

// bucketName is the bucket that has all records. It marks a file as one of this
// package, and contains the version of its format.
var bucketName = []byte(bucketPrefix + "1")

const bucketPrefix = "github.com/seed65a45251/mqtt/store "

// smallest is the size of an empty store: four pages.
const smallest = 4 * 4096

// Open opens the store at path. If there is none, it creates one that only its user
// may read; the directory has to exist. It fails if the file is in use (ErrLocked),
// of another kind (ErrForeign) or damaged (ErrDamaged), and otherwise with the error
// of the system, such as fs.ErrPermission. A full disk stops it only from creating a
// store.
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
		// While this waited for the lock, the process that held it may have replaced the
		// file by a smaller one. The lock is then on a file that has no name any more.
		if d.isAt(f.path) {
			return f.begin(d, used)
		}
		d.close()
		if time.Now().After(deadline) {
			return ErrLocked
		}
	}
}

// resolve returns an absolute path to the same file that is not a symbolic link. It
// stays right if the program changes its directory, and it can be the target of a
// rename.
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

// until returns how long bbolt may wait for a lock. A negative duration makes bbolt
// try once, whereas zero would make it wait forever.
func until(deadline time.Time) time.Duration {
	return cmp.Or(time.Until(deadline), -1)
}

// openOnce opens the file that is at path at that moment, and returns how much of it
// is in use.
func openOnce(path string, config Config, deadline time.Time) (*database, int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(path, config.MaxSize); err != nil {
			return nil, 0, fmt.Errorf("create it: %w", err)
		}
		info, err = os.Stat(path)
	}
	if err != nil {
		return nil, 0, err
	}
	if info.IsDir() {
		return nil, 0, fmt.Errorf("%w: it is a directory", ErrForeign)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%w: %s", ErrForeign, info.Mode().Type())
	}
	var used int64
	// bbolt makes a database of an empty file.
	if info.Size() > 0 {
		used, err = verifyFile(path, config.Salvage != nil, until(deadline))
		if config.Salvage != nil && (errors.Is(err, ErrDamaged) || errors.Is(err, ErrForeign) && !errors.Is(err, errAnother)) {
			if err := salvage(path, config, deadline, err); err != nil {
				return nil, 0, err
			}
			used, err = verifyFile(path, false, until(deadline))
		}
		if err != nil {
			return nil, 0, err
		}
	}
	d, err := openDatabase(path, config, until(deadline))
	return d, used, err
}

// begin makes d the file's database. It ensures that d has its bucket, and shrinks the
// file if it is too large for its contents.
func (f *File) begin(d *database, used int64) error {
	f.db = d
	if err := guard(d.ensureBucket); err != nil {
		d.close()
		return err
	}
	d.fill() // earlier versions have left holes
	// If shrinking fails, for lack of space or of the right to write into the
	// directory, the file is as good as before. It is fatal only if it is unknown
	// which of the two files will be there after a crash.
	if f.shrinking.atOpen(d.size(), used) {
		if err := f.shrink(); err != nil {
			f.db.close()
			return err
		}
	}
	return nil
}

// create makes an empty store under another name and moves it to path when it is
// complete, so that a crash leaves no file that cannot be opened. If two processes do
// so at a time, the first wins and both use its file.
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
		// The file system has no links. bbolt then makes the database out of an empty
		// file.
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

// syncDirectory makes the name of a file durable. The fsync of the file itself does
// not.
func syncDirectory(path string) error {
	if runtime.GOOS == "windows" { // Windows cannot sync directories
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
