// Package store defines how records outlive their process: what a broker, or a client,
// must still know after a crash. It knows nothing of MQTT.
//
// A [Store] is an ordered map of small keys to values. [Memory] is for tests and for
// programs whose state may end with them. Package
// [github.com/seed65a45251/mqtt/store/bolt] keeps a file. [Encrypt] hides the values of
// any of them. Package
// [github.com/seed65a45251/mqtt/store/storetest] tests other implementations.
package store

import (
	"errors"
	"iter"
)

// ErrClosed is the error of a Store that was closed.
var ErrClosed = errors.New("store: closed")

// ErrFull is wrapped by the error of a Commit that would exceed the size limit of the
// Store itself. If the disk is full, the error is that of the system.
var ErrFull = errors.New("store: full")

// Op is one change: it sets the value of a key or deletes the key.
type Op struct {
	// Key is not empty and at most MaxKey bytes long.
	Key []byte
	// Value replaces what the key had. It may be empty. Delete ignores it.
	Value []byte
	// Delete removes the key, which need not exist.
	Delete bool
}

// MaxKey is the length of the longest key, in bytes. For longer names, such as Topic
// Names, use a hash or a number as the key.
const MaxKey = 1024

// Store is an ordered map that survives its process. Its methods are safe for
// concurrent use.
type Store interface {
	// Commit makes the operations durable in their order, all of them or none, and
	// returns when they would survive a crash of the machine. Concurrent callers may
	// share one write to the disk. After an error, such as a full disk, nothing has
	// changed and a later Commit may succeed; after ErrClosed none does. If the disk
	// fails during a write, a Store may be unable to tell whether anything has
	// changed. It then fails every call, and its contents are known when it is opened
	// again. The Store keeps neither ops nor what they point to.
	Commit(ops []Op) error

	// Scan yields the records whose keys begin with prefix, in the order of the bytes
	// of the keys, as they were when the loop began. An error ends the sequence. Key
	// and value belong to the Store: they are valid until the next iteration and must
	// not be changed. The loop must not call methods of the Store, not even Scan,
	// because they may wait for the end of the loop.
	Scan(prefix []byte) iter.Seq2[Record, error]

	// Close ends the Store when the Commits and Scans under way have finished. A
	// second Close does nothing.
	Close() error
}

// Record is one key with its value.
type Record struct {
	Key, Value []byte
}
