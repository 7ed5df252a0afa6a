// Package bolt keeps a [store.Store] in one file, by way of go.etcd.io/bbolt.
//
// A Commit returns when the disk has what it wrote. The file is whole at every
// instruction at which the process or the machine may stop. Commits that come together
// share one transaction and its two writes to the disk; a Commit that comes alone begins
// at once. The package has no goroutine of its own: the first Commit writes for those
// that wait.
//
// # The file
//
// Open reads the structure of the whole file, values aside, and refuses a damaged one.
// Values carry checksums, which Scan verifies. The file grows by pieces of 4 MiB; where
// the file system knows holes, they take no space on the disk.
//
// The file also shrinks. When most of it is free, it is copied to a new one beside it,
// PATH.compact, which then takes its place. Open does so when half of 64 MiB or more is
// free. A Commit does so when three quarters are free and what is left is at most
// 16 MiB, as after a long queue has been worked off. On Windows, which does not replace
// open files, the file does not shrink.
//
// On 64-bit systems other than Windows the file is mapped into 16 GiB of address space.
// Monitoring shows that as virtual size; only what was read takes memory. Below that
// size Commits and Scans never wait for each other. Elsewhere a Commit that makes the
// file grow may wait for Scans to end.
//
// # When things go wrong
//
// On a full disk the Commits that do not fit fail. The file stays usable, and Commits
// that fit go on. Deleting needs some space, too, before it frees any: Config.MaxSize
// keeps a store away from the end of its disk.
//
// When the disk fails in a way that leaves unknown what it has kept, the File cannot be
// used any more: everything fails with the same error until the program opens the file
// again. Damage that is found while the File is open, such as a file that was cut off,
// makes Commit and Scan fail with ErrDamaged. One case is left that ends the process:
// damage that happens after Open and is met by the clean-up after a failed write to the
// disk, because bbolt looks through the file on a goroutine of its own then.
package bolt

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed65a45251/mqtt/store"
)

var (
	// ErrLocked is wrapped by the error of an Open that found the file in use by
	// another process or another File of this one.
	ErrLocked = errors.New("in use by another process")

	// ErrForeign is wrapped by the error of an Open that found a file of another
	// kind. It was not changed.
	ErrForeign = errors.New("not a store of this package")

	// ErrDamaged is wrapped by the errors about a file whose contents make no sense.
	ErrDamaged = errors.New("damaged")

	// ErrFull is wrapped by the error of a Commit that would make the file larger
	// than Config.MaxSize. It wraps store.ErrFull.
	ErrFull = fmt.Errorf("%w: file has its maximum size", store.ErrFull)

	// ErrValue is wrapped by the error of a Commit with a value of more than MaxValue
	// bytes.
	ErrValue = errors.New("value is too long")
)

// MaxValue is the length of the longest value, in bytes. An MQTT packet has at most
// a quarter of it.
const MaxValue = 1 << 30

// Config says how a file is kept. Its zero value is right for most.
type Config struct {
	// NoSync makes Commit return without waiting for the disk. What was committed
	// still survives the end of the process in every way, but not a crash of the
	// machine: that may lose the last seconds, and it may leave a file that Open
	// refuses as damaged. Close waits for the disk all the same. Zero means that every
	// Commit waits.
	NoSync bool

	// LockTimeout is how long Open waits for another process to close the file. Zero
	// means one second, less than zero that it does not wait.
	LockTimeout time.Duration

	// MaxSize limits the file, in bytes: a Commit for which there is no space left
	// fails with ErrFull. One that only deletes may exceed it for a moment, so that a
	// full store can be emptied; nothing helps like that when the disk itself is full.
	// A file that has grown further stays usable within itself. While it is copied to
	// shrink it, the copy takes space beside it. Zero means that only the disk limits it.
	MaxSize int64
}

func (c Config) lockTimeout() time.Duration {
	if c.LockTimeout == 0 {
		return time.Second
	}
	return c.LockTimeout
}

func (c Config) maxSize() int { return int(min(c.MaxSize, math.MaxInt)) }
