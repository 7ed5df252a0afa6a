package bolt

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// mapped is the address space for a file, on systems where that costs nothing. A
// larger file is mapped anew when it grows, which has to wait for the readers.
const mapped = 16 << 30

// database is an open file of bbolt.
type database struct {
	*bbolt.DB
	file *os.File
	// scans counts the readers. retired says that another database has replaced this
	// one, so the last reader closes it. File.mu guards both.
	scans   int
	retired bool
	// stuck says that bbolt has panicked and holds its locks forever.
	stuck bool
	// The leader of the queue alone uses it.
	reserving reserving
}

func openDatabase(path string, config Config, wait time.Duration) (*database, error) {
	d, err := tryDatabase(path, config, wait, mapping())
	if errors.Is(err, syscall.ENOMEM) { // the process may have less address space
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
		// The list of free pages of a file that was large once is large itself, and would
		// be written with every Commit. Without it Open finds the free pages by looking.
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
	d.reserving.step = growth
	if limit := config.maxSize(); limit > 0 { // the last step should not be most of the file
		d.reserving.step = min(growth, int64(limit/16))
	}
	d.AllocSize = 0 // what bbolt adds by itself is no more than it needs
	return d, nil
}

func (d *database) openFile(path string, flag int, mode os.FileMode) (file *os.File, err error) {
	d.file, err = os.OpenFile(path, flag, mode)
	return d.file, err
}

// describe translates errors of bbolt.
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

// ensureBucket makes the bucket, or its tally, if there is none.
func (d *database) ensureBucket() error {
	complete := false
	err := d.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketName)
		complete = bucket != nil && bucket.Sequence() != 0
		return nil
	})
	if err != nil || complete {
		return err
	}
	return d.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists(bucketName)
		if err != nil {
			return err
		}
		return startTally(bucket)
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
		// Closing bbolt would wait forever. The mapping, and on some systems the lock,
		// stays until the process ends.
		return d.file.Close()
	}
	return guard(d.Close)
}
