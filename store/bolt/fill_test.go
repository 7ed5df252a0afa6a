package bolt

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
)

func TestKeysInTheirOrderFillMostOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f, err := Open(path, Config{NoSync: true})
	require.NoError(t, err)
	defer f.Close()
	const commits, each, size = 400, 100, 300
	value := make([]byte, size)
	for i := range uint64(commits) {
		var ops []store.Op
		for j := range uint64(each) {
			ops = append(ops, store.Op{Key: binary.BigEndian.AppendUint64(nil, i*each+j), Value: value})
		}
		require.NoError(t, f.Commit(ops))
	}
	content := float64(commits * each * (size + 8))
	require.Less(t, float64(f.db.size()-growth), content/0.7)
}

func TestCommitDeletesOnlyWhatIsThere(t *testing.T) {
	f, err := Open(filepath.Join(t.TempDir(), "store"), Config{NoSync: true})
	require.NoError(t, err)
	defer f.Close()
	var ops []store.Op
	for _, k := range []string{"a", "b", "c", "d"} {
		ops = append(ops, store.Op{Key: []byte(k), Value: []byte(k)})
	}
	require.NoError(t, f.Commit(append(ops, store.Op{Key: []byte("c"), Delete: true}, store.Op{Key: []byte("bb"), Delete: true})))
	require.NoError(t, f.Commit([]store.Op{
		{Key: []byte("a"), Delete: true}, {Key: []byte("a"), Delete: true}, {Key: []byte("zz"), Delete: true},
		{Key: []byte("d"), Delete: true}, {Key: []byte("d"), Value: []byte("new")},
	}))
	got := make(map[string]string)
	for r, err := range f.Scan(nil) {
		require.NoError(t, err)
		got[string(r.Key)] = string(r.Value)
	}
	require.Equal(t, map[string]string{"b": "b", "d": "new"}, got)
}
