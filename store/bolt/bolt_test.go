package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
	"github.com/seed65a45251/mqtt/store/storetest"
)

func open(t testing.TB, path string) *bolt.File {
	t.Helper()
	f, err := bolt.Open(path, bolt.Config{})
	require.NoError(t, err)
	return f
}

func TestFileIsAStore(t *testing.T) { testStore(t, bolt.Config{}) }

func TestFileWithoutSyncIsAStore(t *testing.T) { testStore(t, bolt.Config{NoSync: true}) }

func testStore(t *testing.T, config bolt.Config) {
	paths := map[store.Store]string{}
	openPath := func(t *testing.T, path string) store.Store {
		f, err := bolt.Open(path, config)
		require.NoError(t, err)
		paths[f] = path
		return f
	}
	storetest.Run(t,
		func(t *testing.T) store.Store { return openPath(t, filepath.Join(t.TempDir(), "store")) },
		func(t *testing.T, closed store.Store) store.Store { return openPath(t, paths[closed]) })
}

func TestAnEncryptedFileIsAStore(t *testing.T) {
	paths := map[store.Store]string{}
	openPath := func(t *testing.T, path string) store.Store {
		f, err := bolt.Open(path, bolt.Config{NoSync: true})
		require.NoError(t, err)
		e, err := store.Encrypt(f, []byte("0123456789abcdef0123456789abcdef"))
		require.NoError(t, err)
		paths[e] = path
		return e
	}
	storetest.Run(t,
		func(t *testing.T) store.Store { return openPath(t, filepath.Join(t.TempDir(), "store")) },
		func(t *testing.T, closed store.Store) store.Store { return openPath(t, paths[closed]) })
}
