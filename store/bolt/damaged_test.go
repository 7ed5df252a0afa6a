package bolt_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// sample returns the bytes of a file with several levels of pages, long values and
// free pages in between, and where in it pages are used.
func sample(t testing.TB) []byte {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	var ops []store.Op
	for i := range 400 {
		ops = append(ops, store.Op{Key: fmt.Appendf(nil, "key/%0200d", i), Value: make([]byte, i%50)})
	}
	require.NoError(t, f.Commit(ops))
	require.NoError(t, f.Commit(set("long", string(make([]byte, 20_000)))))
	require.NoError(t, f.Commit(del(string(ops[7].Key))))
	require.NoError(t, f.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	last := len(content)
	for content[last-1] == 0 {
		last--
	}
	return content[:last]
}

// use opens a file that may be damaged and does with it what can be done. Whatever
// is wrong has to come as an error; a panic, on whatever goroutine, ends the test.
func use(t testing.TB, content []byte, size int64) error {
	path := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	require.NoError(t, os.Truncate(path, size))
	f, err := bolt.Open(path, bolt.Config{NoSync: true, LockTimeout: -1})
	require.NotErrorIs(t, err, bolt.ErrLocked)
	if err != nil {
		return err
	}
	for _, scanErr := range f.Scan(nil) {
		if scanErr != nil {
			err = scanErr
		}
	}
	if commitErr := f.Commit(append(set("key/", "new"), del("long")...)); err == nil {
		err = commitErr
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func TestDamageIsAnError(t *testing.T) {
	content := sample(t)
	whole := int64(4 << 20)
	require.NoError(t, use(t, content, whole))
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 200 {
		damaged := append([]byte(nil), content...)
		// Beginnings of pages have what is easily fatal.
		page := 4096 * random.IntN(len(content)/4096)
		at := page + random.IntN(4096)
		if random.IntN(2) == 0 {
			at = page + random.IntN(64)
		}
		damaged[at] ^= byte(1 + random.IntN(255))
		if err := use(t, damaged, whole); err != nil {
			refused++
		}
	}
	// Others were in free pages, or behind what a page has.
	require.Greater(t, refused, 30)
}

func TestAFileThatWasCutOffIsRefused(t *testing.T) {
	content := sample(t)
	for size := int64(1); size < int64(len(content)); size += 2777 {
		require.Error(t, use(t, content, size), "%d of %d bytes", size, len(content))
	}
}

func TestAWrongValueIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	require.NoError(t, f.Commit(append(set("a", "before"), set("b", "the quick brown fox")...)))
	require.NoError(t, f.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	changed := 0
	for i := range content[:len(content)-5] {
		if string(content[i:i+5]) == "quick" {
			content[i] = 'Q'
			changed++
		}
	}
	require.NotZero(t, changed)
	require.NoError(t, os.WriteFile(path, content, 0o600))

	f = open(t, path)
	var found []string
	for r, err := range f.Scan(nil) {
		if err != nil {
			require.ErrorIs(t, err, bolt.ErrDamaged)
			require.ErrorContains(t, err, `"b"`)
		}
		found = append(found, string(r.Key))
	}
	require.Equal(t, []string{"a", ""}, found)
	require.NoError(t, f.Commit(set("b", "mended")))
	require.Equal(t, []string{"a=before", "b=mended"}, records(t, f))
	require.NoError(t, f.Close())
}

func TestAFileThatIsCutOffWhileOpenGivesErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	fill(t, f, 1<<20)
	require.NoError(t, os.Truncate(path, 3*4096))
	var failed error
	for _, err := range f.Scan(nil) {
		failed = err
	}
	require.ErrorIs(t, failed, bolt.ErrDamaged)
	require.ErrorIs(t, f.Commit(set("queued/000500", "new")), bolt.ErrDamaged)
	require.ErrorIs(t, f.Commit(set("a", "new")), bolt.ErrDamaged)
	require.NoError(t, f.Close())
}
