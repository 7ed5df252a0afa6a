package bolt_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/seed65a45251/mqtt/store/bolt"
)

func names(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestOpenCreatesAFileForItsUserOnly(t *testing.T) {
	dir := t.TempDir()
	f := open(t, filepath.Join(dir, "store"))
	require.NoError(t, f.Commit(set("a", "1")))
	require.NoError(t, f.Close())
	require.Equal(t, []string{"store"}, names(t, dir))
	info, err := os.Stat(filepath.Join(dir, "store"))
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
}

func TestOpenTakesAnEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	f := open(t, path)
	require.NoError(t, f.Commit(set("a", "1")))
	require.NoError(t, f.Close())
	f = open(t, path)
	require.Equal(t, []string{"a=1"}, records(t, f))
	require.NoError(t, f.Close())
}

func TestOpenNeedsADirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "none", "store")
	_, err := bolt.Open(path, bolt.Config{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "store/bolt: open "+path)
	_, err = bolt.Open(dir, bolt.Config{})
	require.ErrorIs(t, err, bolt.ErrForeign) // a directory is no store
	_, err = bolt.Open("", bolt.Config{})
	require.ErrorIs(t, err, bolt.ErrForeign) // the working directory
}

func TestOpenTellsThatAnotherHasTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	for _, timeout := range []time.Duration{-1, time.Millisecond, 120 * time.Millisecond} {
		start := time.Now()
		_, err := bolt.Open(path, bolt.Config{LockTimeout: timeout})
		require.ErrorIs(t, err, bolt.ErrLocked)
		require.Less(t, time.Since(start), 30*time.Second)
	}
	require.NoError(t, f.Commit(set("a", "1")))
	require.NoError(t, f.Close())
}

func TestOpenWaitsForAnotherToClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	opened := make(chan error, 1)
	var second *bolt.File
	go func() {
		var err error
		second, err = bolt.Open(path, bolt.Config{LockTimeout: time.Minute})
		opened <- err
	}()
	require.NoError(t, f.Commit(set("a", "1")))
	require.NoError(t, f.Close())
	require.NoError(t, <-opened)
	require.Equal(t, []string{"a=1"}, records(t, second))
	require.NoError(t, second.Close())
}

func TestManyMayCreateAFileAtATime(t *testing.T) {
	dir := t.TempDir()
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			f, err := bolt.Open(filepath.Join(dir, "store"), bolt.Config{LockTimeout: time.Minute})
			if err == nil {
				err = f.Commit(set(string(rune('a'+i)), ""))
			}
			if err == nil {
				err = f.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	f := open(t, filepath.Join(dir, "store"))
	require.Equal(t, []string{"a=", "b=", "c=", "d=", "e=", "f=", "g=", "h="}, records(t, f))
	require.NoError(t, f.Close())
	require.Equal(t, []string{"store"}, names(t, dir))
}

func TestOpenLeavesForeignFilesAlone(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	db, err := bbolt.Open(other, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("accounts"))
		return err
	}))
	require.NoError(t, db.Close())
	ofBolt, err := os.ReadFile(other)
	require.NoError(t, err)

	for name, content := range map[string][]byte{
		"a line":             []byte("hello\n"),
		"a page":             bytes.Repeat([]byte("0123456789abcdef"), 256),
		"many pages":         bytes.Repeat([]byte("0123456789abcdef"), 10_000),
		"zeros":              make([]byte, 1<<16),
		"of another program": ofBolt,
		"cut off":            ofBolt[:4096],
	} {
		path := filepath.Join(t.TempDir(), "store")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		_, err := bolt.Open(path, bolt.Config{})
		require.ErrorIs(t, err, bolt.ErrForeign, name)
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, after, name)
	}
}

func TestOpenFollowsSymbolicLinks(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	require.NoError(t, open(t, target).Close())
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(target, link))
	f := open(t, link)
	want, err := filepath.EvalSymlinks(target)
	require.NoError(t, err)
	require.Equal(t, want, f.Path())
	require.NoError(t, f.Close())
}

func TestAFileThatIsReplacedWhileOpenWaitsIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store")
	f, err := bolt.OpenShrinking(path, 1<<20)
	require.NoError(t, err)
	fill(t, f, 4<<20)
	opened := make(chan error, 1)
	var second *bolt.File
	go func() {
		var err error
		second, err = bolt.Open(path, bolt.Config{LockTimeout: time.Minute})
		opened <- err
	}()
	empty(t, f) // it is copied to a new file
	require.NoError(t, f.Commit(set("late", "1")))
	require.NoError(t, f.Close())
	require.NoError(t, <-opened)
	require.Contains(t, records(t, second), "late=1")
	require.NoError(t, second.Close())
	f = open(t, path)
	require.Contains(t, records(t, f), "late=1")
	require.NoError(t, f.Close())
}
