package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/seed65a45251/mqtt/store/bolt"
)

// behind changes the bucket of a file as no Commit does.
func behind(t *testing.T, path string, change func(*bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket(bolt.BucketName())) }))
	require.NoError(t, db.Close())
}

func TestARecordThatIsGoneOrBackIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	require.NoError(t, f.Commit(append(set("a", "1"), set("b", "2")...)))
	require.NoError(t, f.Commit(set("a", "3")))
	require.NoError(t, f.Close())

	var a, b []byte
	refused := func(change func(*bbolt.Bucket) error) {
		t.Helper()
		behind(t, path, change)
		_, err := bolt.Open(path, bolt.Config{})
		require.ErrorIs(t, err, bolt.ErrDamaged)
		require.ErrorContains(t, err, "not those that were committed")
	}
	refused(func(bucket *bbolt.Bucket) error {
		a, b = append(a, bucket.Get([]byte("a"))...), append(b, bucket.Get([]byte("b"))...)
		return bucket.Delete([]byte("a"))
	})
	refused(func(bucket *bbolt.Bucket) error { return bucket.Put([]byte("a"), b) })
	behind(t, path, func(bucket *bbolt.Bucket) error { return bucket.Put([]byte("a"), a) })

	f = open(t, path)
	require.Equal(t, []string{"a=3", "b=2"}, records(t, f))
	require.NoError(t, f.Commit(del("b")))
	require.NoError(t, f.Close())
	require.NoError(t, open(t, path).Close())

	refused(func(bucket *bbolt.Bucket) error { return bucket.SetSequence(bucket.Sequence() ^ 1) })
}

func TestAFileWithoutATallyGetsOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	require.NoError(t, f.Commit(append(set("a", "1"), set("b", "2")...)))
	require.NoError(t, f.Close())
	behind(t, path, func(bucket *bbolt.Bucket) error { return bucket.SetSequence(0) })

	f = open(t, path)
	require.NoError(t, f.Commit(set("c", "3")))
	require.NoError(t, f.Close())
	behind(t, path, func(bucket *bbolt.Bucket) error { return bucket.Delete([]byte("c")) })
	_, err := bolt.Open(path, bolt.Config{})
	require.ErrorIs(t, err, bolt.ErrDamaged)
}
