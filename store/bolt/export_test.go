package bolt

import "go.etcd.io/bbolt"

// What a group may have, for tests.
const MaxGroup = maxGroup

// OpenShrinking opens a file that is shrunk from another size on.
func OpenShrinking(path string, from int64) (*File, error) {
	f := newFile(path, Config{}, limits{from: from, quick: from / 4})
	return f, f.open()
}

// ReplaceCommit puts a function in the place of bbolt's, which it is given. No
// Commit may be under way.
func (f *File) ReplaceCommit(with func(tx *bbolt.Tx, commit func() error) error) {
	f.commit = func(tx *bbolt.Tx) error { return with(tx, tx.Commit) }
}

// Waiting returns how many Commits have no answer yet.
func (f *File) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.queue)
}

// BucketName is where the records are.
func BucketName() []byte { return bucketName }
