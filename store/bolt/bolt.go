// Package bolt keeps a [store.Store] in one file, by way of go.etcd.io/bbolt.
//
// A Commit returns when its changes are on the disk. The file is consistent at every
// instruction at which the process or the machine may stop. Concurrent Commits share one
// transaction and its two writes to the disk; a single Commit begins at once. The
// package has no goroutine of its own: the first Commit also writes for those that wait.
//
// # The file
//
// Open checks the structure of the whole file, except the values, and refuses a damaged
// one, also one in which a record is missing or back. Values carry checksums, which Scan
// verifies. The file grows in steps of 4 MiB.
// On Linux these are set aside on the disk, as far as the file system can do that.
//
// The file also shrinks. When most of it is free, it is copied to a new file beside it,
// PATH.compact, which then replaces it. Open does so if at least half of a file of at
// least 64 MiB is free. A Commit does so if at least three quarters are free and at
// most 16 MiB remain, as after a long queue has been worked off. On Windows, which
// cannot replace open files, the file does not shrink.
//
// On 64-bit systems other than Windows the file is mapped into 16 GiB of address space.
// Monitoring shows that as virtual size; only what was read takes memory. Below that
// size Commits and Scans never wait for each other. Elsewhere a Commit that makes the
// file grow may wait for Scans to end.
//
// # When things go wrong
//
// On a full disk Commits that do not fit fail. The file stays usable, and Commits
// that fit succeed. Deleting also needs some space before it frees any:
// Config.MaxSize keeps a store away from the end of its disk.
//
// A damaged file is refused, unless Config.Salvage is set: then the records that can be
// read are kept and the file itself is set aside. A wrong byte costs no record outside
// its page. A page that is gone, as in a truncated file, also costs the records that only
// it leads to; if that is the last page of all, the state before the last Commit is
// kept. No other older record comes back.
//
// When the disk fails in a way that leaves it unknown what was written, the File can no
// longer be used: all calls fail with the same error until the program opens the file
// again. If damage is found while the File is open, for example because the file was
// truncated, Commit and Scan fail with ErrDamaged. One case still ends the process:
// damage that happens after Open and is found by the clean-up after a failed write.
// bbolt then reads the file on a goroutine of its own.
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

	// ErrForeign is wrapped by the error of an Open that found something else, such as
	// a directory, a file of another kind, or one of a newer version of this package.
	// Open has not changed it.
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

// Config says how a file is kept. The zero value suits most programs.
type Config struct {
	// NoSync makes Commit return without waiting for the disk. Committed changes then
	// still survive every end of the process, but not a crash of the machine. Such a
	// crash may lose the last seconds, and it may leave a file that Open refuses as
	// damaged. Close waits for the disk in any case. If false, every Commit waits.
	NoSync bool

	// LockTimeout is how long Open waits for another process to close the file. Zero
	// means one second. Open waits for at least 200 ms, also if LockTimeout is
	// negative: the child that a killed process was just starting has its lock for a
	// moment.
	LockTimeout time.Duration

	// MaxSize limits the file, in bytes. A Commit that would exceed it fails with
	// ErrFull. A Commit that only deletes may exceed it for a moment, so that a full
	// store can be emptied; if the disk itself is full, that is not possible. A file
	// that is already larger stays usable within its size. While a file is copied to
	// shrink it, the copy takes space besides. Zero means that only the disk limits the
	// file.
	MaxSize int64

	// Salvage, if not nil, lets Open replace a damaged or truncated file by a new one
	// with the records that can be read: those in sound pages that the rest of the file
	// leads to. The damaged file stays beside it as PATH.damaged1, or with the next free
	// number. Open calls Salvage with that path and what is wrong with the file. It
	// then reads all values in order to find damage. If nil, Open refuses a damaged file.
	Salvage func(aside string, damage error)
}

// shortestWait is how long Open waits for a lock at least.
const shortestWait = 200 * time.Millisecond

func (c Config) lockTimeout() time.Duration {
	if c.LockTimeout == 0 {
		return time.Second
	}
	return max(c.LockTimeout, shortestWait)
}

func (c Config) maxSize() int { return int(min(c.MaxSize, math.MaxInt)) }
