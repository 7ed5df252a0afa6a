package bolt_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// fill commits that many bytes of records, as a queue that grows.
func fill(t *testing.T, f *bolt.File, size int) {
	t.Helper()
	var ops []store.Op
	for i := range size / 1000 {
		ops = append(ops, store.Op{Key: fmt.Appendf(nil, "queued/%06d", i), Value: make([]byte, 1000)})
	}
	require.NoError(t, f.Commit(ops))
}

// empty deletes what fill has committed.
func empty(t *testing.T, f *bolt.File) {
	t.Helper()
	var ops []store.Op
	for r, err := range f.Scan([]byte("queued/")) {
		require.NoError(t, err)
		ops = append(ops, del(string(r.Key))...)
	}
	require.NoError(t, f.Commit(ops))
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

func TestAnEmptiedFileShrinksWhileOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store")
	f, err := bolt.OpenShrinking(path, 4<<20)
	require.NoError(t, err)
	require.NoError(t, f.Commit(set("kept", "1")))
	fill(t, f, 6<<20)
	require.Greater(t, fileSize(t, path), int64(6<<20))
	empty(t, f)
	require.NoError(t, f.Commit(set("later", "2")))
	require.Less(t, fileSize(t, path), int64(5<<20))
	require.Equal(t, []string{"kept=1", "later=2"}, records(t, f))
	require.Equal(t, []string{"store"}, names(t, dir))

	// The new file is locked as the old one was, and takes as much.
	_, err = bolt.Open(path, bolt.Config{LockTimeout: -1})
	require.ErrorIs(t, err, bolt.ErrLocked)
	fill(t, f, 6<<20)
	require.NoError(t, f.Close())
	f = open(t, path)
	require.Len(t, records(t, f), 2+(6<<20)/1000)
	require.NoError(t, f.Close())
}

func TestAScanIsNotDisturbedByShrinking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f, err := bolt.OpenShrinking(path, 1<<20)
	require.NoError(t, err)
	fill(t, f, 4<<20)
	n := 0
	for r, err := range f.Scan(nil) {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("queued/%06d", n), string(r.Key))
		require.Len(t, r.Value, 1000)
		if n++; n == 10 {
			old, err := os.Stat(path)
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() {
				var ops []store.Op
				for i := range 4<<20/1000 - 1 {
					ops = append(ops, del(fmt.Sprintf("queued/%06d", i))...)
				}
				if err := f.Commit(ops); err != nil {
					done <- err
					return
				}
				done <- f.Commit(set("new", ""))
			}()
			require.NoError(t, <-done)
			now, err := os.Stat(path)
			require.NoError(t, err)
			require.False(t, os.SameFile(old, now), "it was not shrunk")
		}
	}
	require.Equal(t, (4<<20)/1000, n)
	require.Len(t, records(t, f), 2)
	require.NoError(t, f.Close())
}

func TestAMostlyFreeFileShrinksAtOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store")
	f := open(t, path)
	fill(t, f, 6<<20)
	empty(t, f)
	fill(t, f, 1<<20)
	require.NoError(t, f.Close())
	large := fileSize(t, path)
	require.Greater(t, large, int64(6<<20))
	// What a crash in the middle of a copy leaves behind does no harm.
	require.NoError(t, os.WriteFile(path+".compact", []byte("half a file"), 0o600))

	f, err := bolt.OpenShrinking(path, 4<<20)
	require.NoError(t, err)
	require.Less(t, fileSize(t, path), large/2+4<<20)
	require.Len(t, records(t, f), (1<<20)/1000)
	require.NoError(t, f.Close())
	require.Equal(t, []string{"store"}, names(t, dir))
}

func TestAFileThatCanNotBeCopiedStaysInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f, err := bolt.OpenShrinking(path, 1<<20)
	require.NoError(t, err)
	fill(t, f, 4<<20)
	require.NoError(t, os.MkdirAll(filepath.Join(path+".compact", "in the way"), 0o700))
	empty(t, f)
	require.NoError(t, f.Commit(set("a", "1")))
	require.Greater(t, fileSize(t, path), int64(4<<20))
	require.Equal(t, []string{"a=1"}, records(t, f))
	require.NoError(t, f.Close())
	f, err = bolt.OpenShrinking(path, 1<<20)
	require.NoError(t, err)
	require.Equal(t, []string{"a=1"}, records(t, f))
	require.NoError(t, f.Close())
}
