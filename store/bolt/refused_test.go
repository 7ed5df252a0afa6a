package bolt_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/seed65a45251/mqtt/store/bolt"
)

func TestOpenSaysThatAPathIsADirectory(t *testing.T) {
	dir := t.TempDir()
	_, err := bolt.Open(dir, bolt.Config{})
	require.ErrorIs(t, err, bolt.ErrForeign)
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "it is a directory")
	require.Empty(t, names(t, dir))
}

func TestOpenSaysThatAParentIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("hello\n"), 0o600))
	_, err := bolt.Open(filepath.Join(file, "store"), bolt.Config{})
	require.Error(t, err)
	require.ErrorContains(t, err, file)
}

func TestOpenSaysThatANewerVersionHasWrittenAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("github.com/seed65a45251/mqtt/store 2"))
		return err
	}))
	require.NoError(t, db.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)

	_, err = bolt.Open(path, bolt.Config{})
	require.ErrorIs(t, err, bolt.ErrForeign)
	require.ErrorContains(t, err, `newer version of this package has written it, in format "2"`)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// The lock of a process that was killed lasts until the children that it was just
// starting have left its files.
func TestOpenWaitsAMomentForALockInAnyCase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	for _, timeout := range []time.Duration{-1, time.Millisecond} {
		start := time.Now()
		_, err := bolt.Open(path, bolt.Config{LockTimeout: timeout})
		require.ErrorIs(t, err, bolt.ErrLocked)
		require.ErrorContains(t, err, "in use by another process")
		// bbolt gives up a pause of 50 ms before its time.
		require.GreaterOrEqual(t, time.Since(start), 150*time.Millisecond)
	}
	require.NoError(t, f.Close())
}
