package bolt_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store/bolt"
)

func TestAFullStoreCanBeEmptied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f, err := bolt.Open(path, bolt.Config{MaxSize: 5 << 20, NoSync: true})
	require.NoError(t, err)
	value := make([]byte, 50_000)
	// Everything is used up, down to less than a page.
	for n := 0; len(value) > 1000; n++ {
		if f.Commit(set(fmt.Sprintf("queued/%03d", n), string(value))) != nil {
			value = value[len(value)/2+1:]
		}
	}
	// The loop keeps the pages it may come to, so that deleting needs new ones.
	deleted := 0
	for r, err := range f.Scan(nil) {
		require.NoError(t, err)
		require.NoError(t, f.Commit(del(string(r.Key))))
		deleted++
	}
	require.Greater(t, deleted, 50)
	require.Empty(t, records(t, f))
	require.NoError(t, f.Commit(set("a", string(make([]byte, 1<<20)))))
	require.NoError(t, f.Close())
}

func TestASmallMaximumLeavesRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f, err := bolt.Open(path, bolt.Config{MaxSize: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, f.Commit(set("a", string(make([]byte, 700_000)))))
	require.ErrorIs(t, f.Commit(set("b", string(make([]byte, 700_000)))), bolt.ErrFull)
	require.LessOrEqual(t, fileSize(t, path), int64(1<<20))
	require.NoError(t, f.Close())
}

func TestMaxSizeLimitsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f, err := bolt.Open(path, bolt.Config{MaxSize: 8 << 20})
	require.NoError(t, err)
	value := string(make([]byte, 100_000))
	n := 0
	for ; err == nil; n++ {
		err = f.Commit(set(fmt.Sprintf("queued/%03d", n), value))
	}
	require.ErrorIs(t, err, bolt.ErrFull)
	require.Greater(t, n, 20)
	require.Len(t, records(t, f), n-1)
	require.LessOrEqual(t, fileSize(t, path), int64(8<<20))
	require.ErrorIs(t, f.Commit(set("more", string(make([]byte, 8<<20)))), bolt.ErrFull)

	// What is deleted makes room, at the second Commit after it at the latest: the
	// pages of the last state are kept until there is a newer one.
	empty(t, f)
	require.NoError(t, f.Commit(set("small", "1")))
	require.NoError(t, f.Commit(set("large", value)))
	require.NoError(t, f.Close())

	// A limit below what there already is lets the file be used.
	f, err = bolt.Open(path, bolt.Config{MaxSize: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, f.Commit(set("large", value)))
	require.Len(t, records(t, f), 2)
	require.NoError(t, f.Close())
}
