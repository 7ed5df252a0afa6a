package journal

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
)

// owner counts what a Journal says, and appends changes.
type owner struct {
	changes   []store.Op
	ends      []error
	commits   []error
	concluded int
	ticks     int
}

func (o *owner) Begin(ops []store.Op) []store.Op {
	ops = append(ops, o.changes...)
	o.changes = nil
	return ops
}
func (o *owner) End(err error)       { o.ends = append(o.ends, err) }
func (o *owner) Committed(err error) { o.commits = append(o.commits, err) }
func (o *owner) Concluded()          { o.concluded++ }
func (o *owner) Tick()               { o.ticks++ }

func run(t *testing.T, f func(t *testing.T, j *Journal, d *disk, o *owner)) {
	synctest.Test(t, func(t *testing.T) {
		d, o := newDisk(), new(owner)
		j := New(d, o)
		j.Start(time.Minute)
		f(t, j, d, o)
		d.set(nil, nil, nil)
		require.NoError(t, j.Stop(t.Context()))
		require.Zero(t, j.bytes)
		require.Zero(t, j.held)
	})
}

func set(key string) store.Op    { return store.Op{Key: []byte(key), Value: []byte{1}} }
func remove(key string) store.Op { return store.Op{Key: []byte(key), Delete: true} }

// addAll adds tasks that are committed together.
func addAll(j *Journal, tasks ...*Task) {
	j.mu.Lock()
	for _, t := range tasks {
		j.addLocked(t)
	}
	j.mu.Unlock()
	j.Signal()
}

func TestWhatGathersIsCommittedTogether(t *testing.T) {
	run(t, func(t *testing.T, j *Journal, d *disk, o *owner) {
		wait := make(chan struct{})
		d.set(nil, nil, wait)
		var done []string
		add := func(key string) {
			j.Add(&Task{Ops: []store.Op{set(key)}, Done: func(err error) {
				require.NoError(t, err)
				done = append(done, key)
			}})
		}
		add("a")
		synctest.Wait()
		require.False(t, j.Idle())
		add("b")
		o.changes = []store.Op{set("d")}
		add("c")
		close(wait)
		synctest.Wait()
		require.Equal(t, []string{"a", "b", "c"}, done)
		require.Equal(t, [][]store.Op{{set("a")}, {set("b"), set("c"), set("d")}}, d.commits())
		require.Equal(t, []error{nil, nil}, o.commits)
		require.True(t, j.Idle())
		require.Zero(t, j.Bytes())
	})
}

func TestWhatNobodyWaitsForGoesWithSomethingElse(t *testing.T) {
	run(t, func(t *testing.T, j *Journal, d *disk, _ *owner) {
		j.Later(set("a"))
		j.Later(set("b"), remove("c"))
		synctest.Wait()
		require.Empty(t, d.commits())
		time.Sleep(LazyDelay)
		synctest.Wait()
		require.Equal(t, [][]store.Op{{set("a"), set("b"), remove("c")}}, d.commits())
		j.Later(set("d"))
		j.Add(&Task{Ops: []store.Op{set("e")}})
		synctest.Wait()
		require.Equal(t, []store.Op{set("d"), set("e")}, d.commits()[1])
	})
}

func TestAFailureIsToldOrTriedAgain(t *testing.T) {
	run(t, func(t *testing.T, j *Journal, d *disk, o *owner) {
		failed := errors.New("full")
		d.set(failed, nil, nil)
		var told, kept []error
		addAll(j,
			&Task{Ops: []store.Op{set("a")}, Done: func(err error) { told = append(told, err) }},
			&Task{Ops: []store.Op{set("b")}, Keep: true, Done: func(err error) { kept = append(kept, err) }})
		synctest.Wait()
		require.Equal(t, []error{failed}, told)
		d.set(nil, nil, nil)
		time.Sleep(RetryDelay)
		synctest.Wait()
		require.Equal(t, []error{nil}, kept)
		require.Equal(t, []error{failed, nil}, o.ends)
		require.Equal(t, []store.Op{set("b")}, d.commits()[len(d.commits())-1])
	})
}

// A full store takes removals, except those that only make sense with what is set.
func TestAFullStoreIsRelieved(t *testing.T) {
	run(t, func(t *testing.T, j *Journal, d *disk, _ *owner) {
		d.set(nil, store.ErrFull, nil)
		removed := false
		addAll(j,
			&Task{Ops: []store.Op{set("x"), remove("moved")}, Keep: true, Whole: true, Cost: 1},
			&Task{Ops: []store.Op{remove("gone")}, Keep: true, Done: func(error) { removed = true }})
		synctest.Wait()
		require.True(t, removed)
		require.Equal(t, []store.Op{remove("gone")}, d.commits()[1])
		require.NotZero(t, j.Bytes())
		d.set(nil, nil, nil)
		time.Sleep(RetryDelay)
		synctest.Wait()
		require.Equal(t, []store.Op{set("x"), remove("moved")}, d.commits()[2])
	})
}

func TestATaskThatIsRefusedOrGivenUpIsLeftOut(t *testing.T) {
	run(t, func(t *testing.T, j *Journal, d *disk, _ *owner) {
		wait := make(chan struct{})
		d.set(nil, nil, wait)
		j.Add(&Task{Ops: []store.Op{set("first")}})
		synctest.Wait()
		var results []error
		task := func(key string) *Task {
			return &Task{Ops: []store.Op{set(key)}, Done: func(err error) { results = append(results, err) }}
		}
		refusal := errors.New("refused")
		refused, unwanted := task("refused"), task("unwanted")
		refused.Refused = func() error { return refusal }
		for _, each := range []*Task{task("a"), refused, unwanted, task("b")} {
			j.Add(each)
		}
		unwanted.GiveUp()
		close(wait)
		synctest.Wait()
		require.Equal(t, []store.Op{set("a"), set("b")}, d.commits()[1])
		require.Equal(t, []error{nil, nil, refusal, errUnwanted}, results)
	})
}

func TestWhoHasTooMuchWaits(t *testing.T) {
	run(t, func(t *testing.T, j *Journal, d *disk, _ *owner) {
		wait := make(chan struct{})
		d.set(nil, nil, wait)
		var greedy, modest Share
		j.Add(&Task{Ops: []store.Op{set("a")}, Share: &greedy, Cost: ShareMaximum})
		require.True(t, j.Behind(&greedy))
		require.True(t, j.MustWait(&greedy))
		require.False(t, j.Behind(&modest))
		require.True(t, j.Admit(t.Context(), &modest, nil))
		gone := make(chan struct{})
		close(gone)
		require.False(t, j.Admit(t.Context(), &greedy, gone))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.False(t, j.Admit(ended, &greedy, nil))
		close(wait)
		require.True(t, j.Admit(t.Context(), &greedy, nil))
		require.False(t, j.Behind(&greedy))
	})
}

// What is held behind Done keeps others from adding more, but not those that have to be told.
func TestWhatIsHeldCounts(t *testing.T) {
	run(t, func(t *testing.T, j *Journal, _ *disk, _ *owner) {
		var s Share
		task := &Task{Share: &s, Cost: Maximum}
		task.Done = func(error) { task.Held = true }
		j.Add(task)
		synctest.Wait()
		require.True(t, j.Full())
		require.True(t, j.MustWait(&s))
		require.True(t, j.Admit(t.Context(), nil, nil))
		j.Free(task)
		require.False(t, j.Full())
		require.False(t, j.MustWait(&s))
	})
}

func TestTheOwnerHearsTheClock(t *testing.T) {
	run(t, func(t *testing.T, _ *Journal, d *disk, o *owner) {
		time.Sleep(3*time.Minute + time.Second)
		synctest.Wait()
		require.Equal(t, 3, o.ticks)
		require.Empty(t, d.commits())
	})
}

func TestStopCommitsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		j := New(d, new(owner))
		j.Start(time.Minute)
		j.Later(set("a"))
		require.NoError(t, j.Stop(t.Context()))
		require.Equal(t, [][]store.Op{{set("a")}}, d.commits())
		<-j.Ended()
	})
}

func TestStopDoesNotWaitForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := make(chan struct{})
		d := newDisk()
		d.set(nil, nil, wait)
		j := New(d, new(owner))
		j.Start(time.Minute)
		j.Add(&Task{Ops: []store.Op{set("a")}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, j.Stop(ctx), context.DeadlineExceeded)
		close(wait)
		<-j.Ended()
	})
}

func TestWithoutAStoreNothingWaits(t *testing.T) {
	j := New(nil, new(owner))
	require.False(t, j.Stores())
	require.False(t, j.Full())
	require.False(t, j.MustWait(new(Share)))
	require.True(t, j.Idle())
}
