package main

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

func TestFileSystemIsThatOfTheLongestMountPoint(t *testing.T) {
	mounts := []byte("/dev/a / ext4 rw 0 0\ntmpfs /mem tmpfs rw 0 0\n/dev/b /mem/disk xfs rw 0 0\nbroken\n")
	for dir, want := range map[string]string{"/etc": "ext4", "/mem": "tmpfs", "/mem/disk/x": "xfs", "/mem/disks": "tmpfs"} {
		if got := fileSystem(mounts, dir); got != want {
			t.Errorf("%s is on %s, want %s", dir, got, want)
		}
	}
	if got := fileSystem(nil, "/"); got != "unknown file system" {
		t.Errorf("got %s", got)
	}
}

func TestDirectoryThatIsMissingIsNotASlowDisk(t *testing.T) {
	if _, err := probeDisk(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestStoreCountsCommitsThatSucceed(t *testing.T) {
	dir := t.TempDir()
	s, counts, err := openStore(dir, bolt.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	counts.reset()
	for _, key := range []string{"a", "b"} {
		if err := s.Commit([]store.Op{{Key: []byte(key)}}); err != nil {
			t.Fatal(err)
		}
	}
	if s.Commit([]store.Op{{}}) == nil {
		t.Error("an empty key is accepted")
	}
	var got sample
	counts.report(&got)
	if got.Commits != 2 || got.Syncs != 4 || got.Synced == 0 || got.Slowest == 0 {
		t.Errorf("got %+v", got)
	}
	if sizeOf(dir) == 0 {
		t.Error("the files have no size")
	}
}

func TestFsyncLimitSharesWritesAndKeepsAll(t *testing.T) {
	dir := t.TempDir()
	j := &job{scenario: scenario{goroutines: 8}, dir: dir, payload: make([]byte, 100)}
	c, err := openFsyncLimit(j)
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	var wg sync.WaitGroup
	for range j.goroutines {
		wg.Go(func() {
			for start := time.Now(); time.Since(start) < 10*time.Millisecond; {
				if err := c.publish(1); err != nil {
					t.Error(err)
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	if got := sizeOf(dir); got != 100*n.Load() {
		t.Errorf("%d bytes of %d messages", got, n.Load())
	}
	if got := c.(*fsyncLimit).counts.commits; int64(got) > n.Load() {
		t.Errorf("%d writes for %d messages", got, n.Load())
	}
}
