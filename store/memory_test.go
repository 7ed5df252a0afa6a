package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/storetest"
)

func TestMemoryIsAStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.Memory() }, nil)
}

func TestTheZeroMemIsAStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return new(store.Mem) }, nil)
}

func TestMemoryAllowsCommitsInsideALoop(t *testing.T) {
	s := store.Memory()
	require.NoError(t, s.Commit([]store.Op{{Key: []byte("a")}, {Key: []byte("b")}}))
	for r, err := range s.Scan(nil) {
		require.NoError(t, err)
		require.NoError(t, s.Commit([]store.Op{{Key: r.Key, Delete: true}}))
	}
	for r := range s.Scan(nil) {
		require.Fail(t, "a record is left", "%q", r.Key)
	}
}
