// Package store defines how records outlive their process: what a broker, or a client,
// must still know after a crash. It knows nothing of MQTT.
//
// A [Store] is an ordered map of small keys to values. [Memory] is for tests and for
// programs whose state may end with them. Package
// [github.com/seed65a45251/mqtt/store/bolt] keeps a file. Package
// [github.com/seed65a45251/mqtt/store/storetest] tests other implementations.
package store

import (
	"errors"
	"iter"
)

// ErrClosed is the error of a Store that was closed.
var ErrClosed = errors.New("store: closed")

// ErrFull is wrapped by the error of a Commit for which a Store has no space of its own
// left. A full disk has the error of the system.
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

// MaxKey is the length of the longest key, in bytes. What is named by longer
// strings, as Topic Names are, is kept under a hash or a number.
const MaxKey = 1024

// Store is an ordered map that survives its process. Its methods are safe for
// concurrent use.
type Store interface {
	// Commit makes the operations durable in their order, all of them or none, and
	// returns when they would survive a crash of the machine. Callers that come
	// together may share one write to the disk. After an error, such as a full disk,
	// nothing has changed and a later Commit may succeed; after ErrClosed none does. A
	// Store that cannot tell whether something has changed, because the disk failed
	// while it was written, fails everything from then on: what it has shows when it
	// is opened again.
	// The Store keeps neither ops nor what they point to.
	Commit(ops []Op) error

	// Scan yields the keys that begin with prefix, in the order of their bytes, with
	// their values, as they were when the loop began; an error ends the sequence. Key
	// and value belong to the Store: they are valid until the loop goes on, and are not
	// to be changed. The loop must not call methods of the Store, not even Scan: they
	// may wait for its end.
	Scan(prefix []byte) iter.Seq2[Record, error]

	// Close ends the Store after the Commits and Scans that have begun. Closing twice
	// does nothing.
	Close() error
}

// Record is one key with its value.
type Record struct {
	Key, Value []byte
}
