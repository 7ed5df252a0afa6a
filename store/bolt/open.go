package bolt

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// bucketName is the bucket that has all records. It marks a file as ours and tells
// the version of what is in it.
var bucketName = []byte("github.com/seed65a45251/mqtt/store 1")

const (
	// growth is how much a file grows at a time. Each time costs one more fsync.
	growth = 4 << 20
	// mapped is the address space for a file, where that costs nothing. A larger file
	// is mapped anew when it grows, which has to wait for those who read it.
	mapped = 16 << 30
)

// Open opens the store at path, or creates one that only its user may read, in a
// directory that exists. It fails when the file is in use (ErrLocked), of another
// kind (ErrForeign) or damaged (ErrDamaged), and with the error of the system
// otherwise.
func Open(path string, config Config) (*File, error) {
	f := &File{path: path, config: config, commit: (*bbolt.Tx).Commit, shrinking: shrinking}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("store/bolt: open %s: %w", path, err)
	}
	return f, nil
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
// once, nothing would make it wait for ever.
func until(deadline time.Time) time.Duration {
	return cmp.Or(time.Until(deadline), -1)
}

// openOnce opens the file that is at path when it comes to that, and returns how
// much of it is in use.
func openOnce(path string, config Config, deadline time.Time) (*database, int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(path)
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
	if err := d.do(d.ensureBucket); err != nil {
		d.close()
		return err
	}
	// The file is as good as before if that fails, for want of room or of the right to
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
// between leaves no file that can not be opened. When two do so at a time, the first
// wins and both go on with its file.
func create(path string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*")
	if err != nil {
		return err
	}
	name := temporary.Name()
	defer os.Remove(name)
	if err := temporary.Close(); err != nil {
		return err
	}
	d, err := openDatabase(name, Config{}, -1)
	if err != nil {
		return err
	}
	err = d.do(d.ensureBucket)
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

// database is an open file of bbolt.
type database struct {
	*bbolt.DB
	file *os.File
	// scans counts those who read; retired says that another database has taken the
	// place, so that the last of them closes this one. Both belong to File.mu.
	scans   int
	retired bool
	// stuck says that bbolt panicked and may hold its locks for ever.
	stuck bool
}

func openDatabase(path string, config Config, wait time.Duration) (*database, error) {
	d, err := tryDatabase(path, config, wait, mapping())
	if errors.Is(err, syscall.ENOMEM) { // the process may not have that much address space
		d, err = tryDatabase(path, config, wait, 0)
	}
	return d, err
}

func mapping() int {
	if bits.UintSize < 64 || runtime.GOOS == "windows" {
		return 0
	}
	return min(mapped, 1<<(bits.UintSize-2)) // so that it compiles for 32 bits, too
}

func tryDatabase(path string, config Config, wait time.Duration, mapping int) (*database, error) {
	d := new(database)
	options := bbolt.Options{
		Timeout: wait,
		NoSync:  config.NoSync,
		MaxSize: config.maxSize(),
		// A list of what is free in a file that was large once is large itself, and would
		// be written with every Commit. Open finds out what is free by looking.
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapping,
		OpenFile:        d.openFile,
	}
	err := guard(func() (err error) {
		d.DB, err = bbolt.Open(path, 0o600, &options)
		return err
	})
	if err != nil {
		if d.file != nil {
			d.file.Close() // bbolt has done so, unless it panicked
		}
		return nil, describe(err)
	}
	d.AllocSize = growth
	return d, nil
}

func (d *database) openFile(path string, flag int, mode os.FileMode) (file *os.File, err error) {
	d.file, err = os.OpenFile(path, flag, mode)
	return d.file, err
}

// describe finds our words for errors of bbolt.
func describe(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return ErrLocked
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %w", ErrForeign, err)
	case errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrInvalidMapping):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return ErrFull
	}
	return err
}

// do calls f, which writes, and makes errors of its panics.
func (d *database) do(f func() error) error {
	err := guard(f)
	if _, panicked := errors.AsType[*panicError](err); panicked {
		d.stuck = true
	}
	return err
}

func (d *database) ensureBucket() error {
	exists := false
	err := d.View(func(tx *bbolt.Tx) error {
		exists = tx.Bucket(bucketName) != nil
		return nil
	})
	if err != nil || exists {
		return err
	}
	return d.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucketName)
		return err
	})
}

// isAt reports whether path leads to the file of d.
func (d *database) isAt(path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	here, err := d.file.Stat()
	return err == nil && os.SameFile(here, there)
}

// size returns the length of the file, in bytes.
func (d *database) size() int64 {
	info, err := d.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

func (d *database) close() error {
	if d.stuck {
		// Closing bbolt could wait for ever. The file goes, with its lock; what it is
		// mapped to stays until the process ends.
		return d.file.Close()
	}
	return guard(d.Close)
}
