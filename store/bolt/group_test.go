package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

func set(key, value string) []store.Op { return []store.Op{{Key: []byte(key), Value: []byte(value)}} }

func del(key string) []store.Op { return []store.Op{{Key: []byte(key), Delete: true}} }

// records returns all records as key=value.
func records(t testing.TB, s store.Store) []string {
	t.Helper()
	found := []string{}
	for r, err := range s.Scan(nil) {
		require.NoError(t, err)
		found = append(found, fmt.Sprintf("%s=%s", r.Key, r.Value))
	}
	return found
}

// gate lets transactions through one by one and records what becomes of them.
type gate struct {
	file *bolt.File
	pass chan struct{}
	// transactions counts those that have come to their end.
	transactions int
	// fail, if set, decides about a transaction before it is written.
	fail func(tx *bbolt.Tx) error

	callers sync.WaitGroup
	mu      sync.Mutex
	errs    map[string]error
	order   []string
}

func newGate(t *testing.T) *gate {
	g := &gate{pass: make(chan struct{}), errs: map[string]error{}}
	g.file = open(t, filepath.Join(t.TempDir(), "store"))
	g.file.ReplaceCommit(func(tx *bbolt.Tx, commit func() error) error {
		<-g.pass
		g.transactions++
		if g.fail != nil {
			if err := g.fail(tx); err != nil {
				_ = tx.Rollback()
				return err
			}
		}
		return commit()
	})
	return g
}

// start begins a Commit and returns when it waits, for the gate or its turn.
func (g *gate) start(name string, ops []store.Op) {
	g.callers.Go(func() {
		err := g.file.Commit(ops)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs[name] = err
		g.order = append(g.order, name)
	})
	synctest.Wait()
}

// let lets n transactions pass and returns whose Commits have returned since.
func (g *gate) let(n int) []string {
	g.order = nil
	for range n {
		g.pass <- struct{}{}
		synctest.Wait()
	}
	return g.order
}

func (g *gate) open() { close(g.pass) }

func TestCommitsThatComeDuringAWriteShareTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.start("first", set("0", "a"))
		var names []string
		for i := range 100 {
			names = append(names, fmt.Sprint("later ", i))
			g.start(names[i], set(fmt.Sprintf("1/%02d", i), "b"))
		}
		require.Equal(t, 101, g.file.Waiting())
		require.Equal(t, []string{"first"}, g.let(1)) // it went alone, at once
		require.ElementsMatch(t, names, g.let(1))
		require.Equal(t, 2, g.transactions)
		for name, err := range g.errs {
			require.NoError(t, err, name)
		}
		g.open()
		require.Len(t, records(t, g.file), 101)
		require.NoError(t, g.file.Close())
	})
}

func TestJoinedCommitsHappenInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.start("first", set("a", "0"))
		g.start("second", set("a", "1"))
		g.start("third", set("a", "2"))
		g.start("fourth", set("b", "3"))
		g.start("fifth", del("b"))
		g.let(2)
		g.open()
		require.Equal(t, []string{"a=2"}, records(t, g.file))
		require.NoError(t, g.file.Close())
	})
}

func TestAGroupIsLimitedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		value := string(bytes.Repeat([]byte("x"), bolt.MaxGroup/2-1000))
		g.start("first", set("0", "a"))
		g.start("half", set("1", value))
		g.start("other half", set("2", value))
		g.start("beyond", set("3", value))
		g.start("too large for a group", set("4", value+value+value))
		g.start("last", set("5", "a"))
		require.Equal(t, []string{"first"}, g.let(1))
		require.ElementsMatch(t, []string{"half", "other half"}, g.let(1))
		require.Equal(t, []string{"beyond"}, g.let(1))
		require.Equal(t, []string{"too large for a group"}, g.let(1))
		require.Equal(t, []string{"last"}, g.let(1))
		g.open()
		require.Len(t, records(t, g.file), 6)
		require.NoError(t, g.file.Close())
	})
}

var errNoRoom = errors.New("no room")

// failLarge is a disk that has room for short values only.
func failLarge(limit int) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		return tx.Bucket(bolt.BucketName()).ForEach(func(_, value []byte) error {
			if len(value) > limit {
				return errNoRoom
			}
			return nil
		})
	}
}

func TestOneThatDoesNotFitFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.fail = failLarge(100)
		g.start("first", set("0", "a"))
		g.start("small", set("1", "b"))
		g.start("larger still", set("4", string(make([]byte, 300))))
		g.start("large", set("3", string(make([]byte, 200))))
		g.start("as large", set("5", string(make([]byte, 200))))
		g.start("delete", del("0"))
		g.start("refused", set("", "no key"))
		g.open()
		g.callers.Wait()
		require.NoError(t, g.errs["first"])
		require.NoError(t, g.errs["small"])
		require.NoError(t, g.errs["delete"])
		require.ErrorIs(t, g.errs["refused"], store.ErrKey)
		require.ErrorIs(t, g.errs["large"], errNoRoom)
		require.ErrorIs(t, g.errs["larger still"], errNoRoom)
		require.ErrorIs(t, g.errs["as large"], errNoRoom)
		// The first, the group, two that fit and two that do not, each smaller than the
		// last one that did not; none for what is as large.
		require.Equal(t, 6, g.transactions)
		require.Equal(t, []string{"1=b"}, records(t, g.file))
		require.NoError(t, g.file.Commit(set("2", "c")))
		require.NoError(t, g.file.Close())
	})
}

func TestCommitsThatAreWrittenAloneKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.fail = failLarge(100)
		g.start("first", set("0", "a"))
		g.start("set", set("1", "b"))
		g.start("large", set("2", string(make([]byte, 200))))
		g.start("delete", del("1"))
		g.start("set again", set("0", "c"))
		g.start("shorter", set("0", ""))
		require.Equal(t, []string{"first"}, g.let(1))
		// None of them returns before all have their results.
		require.Empty(t, g.let(5))
		require.ElementsMatch(t, []string{"set", "large", "delete", "set again", "shorter"}, g.let(1))
		g.open()
		require.ErrorIs(t, g.errs["large"], errNoRoom)
		require.Equal(t, []string{"0="}, records(t, g.file))
		require.NoError(t, g.file.Close())
	})
}

func TestAllOfAGroupKnowThatTheFileHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		errDisk := errors.New("input/output error")
		g.start("first", set("0", "a"))
		g.let(1)
		g.file.ReplaceCommit(func(_ *bbolt.Tx, commit func() error) error {
			<-g.pass
			require.NoError(t, commit())
			return errDisk
		})
		for i := range 20 {
			g.callers.Go(func() {
				first := g.file.Commit(set(fmt.Sprint(i), "b"))
				// Whoever has the error finds the same wherever it looks.
				var scanned error
				for _, err := range g.file.Scan(nil) {
					scanned = err
				}
				again := g.file.Commit(set(fmt.Sprint(i), "c"))
				for _, err := range []error{first, scanned, again} {
					if !errors.Is(err, errDisk) {
						t.Errorf("%d: %v", i, err)
					}
				}
			})
			synctest.Wait()
		}
		g.open()
		g.callers.Wait()
		require.NoError(t, g.file.Close())
	})
}

func TestCloseWaitsForCommitsThatHaveBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		path := g.file.Path()
		g.start("first", set("0", "a"))
		g.start("second", set("1", "b"))
		var closed []error
		var closing sync.WaitGroup
		for range 2 {
			closing.Go(func() {
				err := g.file.Close()
				g.mu.Lock()
				defer g.mu.Unlock()
				closed = append(closed, err)
			})
		}
		synctest.Wait()
		require.Empty(t, closed)
		require.ErrorIs(t, g.file.Commit(set("2", "c")), store.ErrClosed)
		require.Equal(t, []string{"first"}, g.let(1))
		require.Empty(t, closed)
		require.Equal(t, []string{"second"}, g.let(1))
		closing.Wait()
		require.Equal(t, []error{nil, nil}, closed)
		f := open(t, path)
		require.Equal(t, []string{"0=a", "1=b"}, records(t, f))
		require.NoError(t, f.Close())
	})
}

func TestCloseWaitsForScansThatHaveBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, filepath.Join(t.TempDir(), "store"))
		require.NoError(t, f.Commit(append(set("0", "a"), set("1", "b")...)))
		closed := make(chan error, 1)
		n := 0
		for r, err := range f.Scan(nil) {
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(n), string(r.Key))
			if n++; n == 1 {
				go func() { closed <- f.Close() }()
			}
			synctest.Wait()
			require.Empty(t, closed)
		}
		require.Equal(t, 2, n)
		require.NoError(t, <-closed)
	})
}

func TestADiskThatMayHaveKeptACommitEndsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	require.NoError(t, f.Commit(set("0", "a")))
	errDisk := errors.New("input/output error")
	f.ReplaceCommit(func(_ *bbolt.Tx, commit func() error) error {
		require.NoError(t, commit())
		return errDisk // as when the last wait for the disk fails
	})
	first := f.Commit(set("1", "b"))
	require.ErrorIs(t, first, errDisk)
	require.ErrorIs(t, f.Commit(set("2", "c")), errDisk)
	for _, err := range f.Scan(nil) {
		require.ErrorIs(t, err, errDisk)
	}
	require.NoError(t, f.Close())
	require.ErrorIs(t, f.Commit(set("2", "c")), store.ErrClosed)

	f = open(t, path)
	require.Equal(t, []string{"0=a", "1=b"}, records(t, f))
	require.NoError(t, f.Close())
}

func TestAPanicOfTheDatabaseEndsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	require.NoError(t, f.Commit(set("0", "a")))
	f.ReplaceCommit(func(*bbolt.Tx, func() error) error { panic("page 7 is strange") })
	err := f.Commit(set("1", "b"))
	require.ErrorIs(t, err, bolt.ErrDamaged)
	require.ErrorContains(t, err, "page 7 is strange")
	require.ErrorIs(t, f.Commit(set("2", "c")), bolt.ErrDamaged)
	require.NoError(t, f.Close())

	f = open(t, path) // the lock is gone
	require.Equal(t, []string{"0=a"}, records(t, f))
	require.NoError(t, f.Close())
}
